//! The properties that the paper and AWS state, on made-up series.

use super::*;

fn forest(parameters: ForestParameters) -> RandomCutForest {
    RandomCutForest::new(parameters).unwrap()
}

fn noise(random: &mut Random) -> f64 {
    random.fraction() - 0.5
}

/// A sine of amplitude 10 and period 50, with noise.
fn sine(at: u32, random: &mut Random) -> f64 {
    10.0 * (f64::from(at) / 50.0 * std::f64::consts::TAU).sin() + noise(random)
}

fn sum(scored: &Scored) -> f64 {
    scored.attribution.iter().map(|part| part.low + part.high).sum()
}

/// What share of scores are at least this one.
#[expect(clippy::cast_precision_loss, reason = "few")]
fn rank(scores: &[f64], score: f64) -> f64 {
    scores.iter().filter(|other| **other >= score).count() as f64 / scores.len() as f64
}

#[test]
fn scores_are_zero_until_the_sample_is_full_and_about_one_after() {
    for (sample_size, shingle) in [(10, 1), (256, 1), (256, 4)] {
        let mut forest = forest(ForestParameters { sample_size, shingle, time_decay: 10_000, ..Default::default() });
        let mut random = Random::new(2);
        let scores: Vec<f64> = (0..1500).map(|at| forest.score(&[sine(at, &mut random)])).collect();
        let warm_up = (sample_size + shingle - 1) as usize;
        assert!(scores[..warm_up].iter().all(|score| score.to_bits() == 0));
        assert!(scores[warm_up..].iter().all(|score| *score > 0.3), "{:?}", &scores[warm_up..warm_up + 9]);
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let mean = scores[warm_up..].iter().sum::<f64>() / (scores.len() - warm_up) as f64;
        assert!((0.6..1.2).contains(&mean), "sample {sample_size}, shingle {shingle}: {mean}");
    }
}

#[test]
fn a_spike_in_a_noisy_sine_is_in_the_top_percent() {
    for shingle in [1, 4] {
        let mut forest = forest(ForestParameters { shingle, ..Default::default() });
        let mut random = Random::new(3);
        let mut scores = Vec::new();
        let mut spikes = Vec::new();
        for at in 0..3000 {
            let is_spike = at > 500 && at % 617 == 0;
            let score = forest.score(&[sine(at, &mut random) + if is_spike { 25.0 } else { 0.0 }]);
            if is_spike { &mut spikes } else { &mut scores }.push(score);
        }
        assert_eq!(spikes.len(), 4);
        for spike in spikes {
            assert!(rank(&scores[256..], spike) < 0.01 && spike > 1.5, "shingle {shingle}: {spike}");
        }
    }
}

/// Each value is usual, but where a rise should be the series stays.
#[test]
fn a_shingle_finds_an_unusual_order_of_usual_values() {
    let mut forest = forest(ForestParameters { shingle: 8, ..Default::default() });
    let mut random = Random::new(4);
    let mut scores = Vec::new();
    for at in 0..4000 {
        let held = (2012..2020).contains(&at);
        scores.push(forest.score(&[sine(if held { 2037 } else { at }, &mut random)]));
    }
    let most = scores[2012..2028].iter().copied().fold(0.0, f64::max);
    assert!(rank(&scores[300..2000], most) < 0.001, "{most}");
}

#[test]
fn the_explanation_names_the_column_and_the_direction() {
    for (column, shift) in [(0, 8.0), (1, 8.0), (2, -8.0)] {
        let mut forest = forest(ForestParameters { dimensions: 3, shingle: 2, ..Default::default() });
        let mut random = Random::new(5);
        for _ in 0..600 {
            forest.explain(&[noise(&mut random), 3.0 * noise(&mut random), 2.0 * noise(&mut random)]);
        }
        let mut point = [0.0; 3];
        point[column] += shift;
        let scored = forest.explain(&point);
        assert!(scored.score > 2.0);
        for (other, part) in scored.attribution.iter().enumerate() {
            if other == column {
                assert!(part.low + part.high > 0.7 * scored.score, "{scored:?}");
                assert_eq!(part.high > part.low, shift > 0.0, "{scored:?}");
            }
        }
    }
}

#[test]
fn a_score_is_the_same_with_its_explanation_and_the_parts_add_up() {
    let parameters = ForestParameters { dimensions: 2, shingle: 3, sample_size: 32, ..Default::default() };
    let (mut scoring, mut explaining) = (forest(parameters.clone()), forest(parameters));
    let mut random = Random::new(6);
    for at in 0..300 {
        // Whole numbers: many points equal others.
        let point = [(4.0 * noise(&mut random)).round(), f64::from(at % 3)];
        let (score, scored) = (scoring.score(&point), explaining.explain(&point));
        assert_eq!(score.to_bits(), scored.score.to_bits());
        assert!((sum(&scored) - score).abs() < 1e-9);
    }
}

#[test]
fn a_shift_of_level_scores_high_then_gets_usual() {
    let mut forest = forest(ForestParameters { time_decay: 500, ..Default::default() });
    let mut random = Random::new(7);
    for _ in 0..2000 {
        forest.score(&[noise(&mut random)]);
    }
    let scores: Vec<f64> = (0..3000).map(|_| forest.score(&[30.0 + noise(&mut random)])).collect();
    assert!(scores[0] > 2.0, "{}", scores[0]);
    assert!(scores[2900..].iter().all(|score| *score < 1.5), "{:?}", &scores[2900..]);
}

#[test]
fn equal_points_do_not_break_it() {
    let parameters = ForestParameters { sample_size: 10, time_decay: 10, dimensions: 2, ..Default::default() };
    let mut constant = forest(parameters);
    for _ in 0..500 {
        let scored = constant.explain(&[7.0, f64::NAN]);
        assert!(scored.score < 1.0 && (sum(&scored) - scored.score).abs() < 1e-9);
    }
    let (usual, unusual) = (constant.score(&[7.0, 0.0]), constant.score(&[7.0, 0.1]));
    assert!(unusual > 2.0 * usual, "{usual} {unusual}");
    // Extremes stay finite.
    for extreme in [f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -0.0] {
        assert!(constant.score(&[extreme, extreme]).is_finite());
    }
}

#[test]
fn a_seed_gives_the_same_scores_and_another_gives_others() {
    let run = |seed| {
        let mut forest = forest(ForestParameters { seed, trees: 10, sample_size: 20, ..Default::default() });
        let mut random = Random::new(8);
        (0..200).map(|at| forest.score(&[sine(at, &mut random)]).to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn saved_and_loaded_it_goes_on_the_same() {
    for (before, time_decay) in [(0, 100), (2, 100), (15, 100), (700, 10), (700, 100_000)] {
        let parameters = ForestParameters {
            trees: 20,
            sample_size: 30,
            time_decay,
            shingle: 3,
            dimensions: 2,
            ..Default::default()
        };
        let mut straight = forest(parameters.clone());
        let mut random = Random::new(9);
        let mut next = |at: u32| [sine(at, &mut random).round(), noise(&mut random)];
        for at in 0..before {
            straight.score(&next(at));
        }
        let bytes = straight.save();
        let mut loaded = RandomCutForest::load(parameters.clone(), &bytes).unwrap();
        for at in before..before + 500 {
            let point = next(at);
            assert_eq!(straight.score(&point).to_bits(), loaded.score(&point).to_bits());
        }
        assert_eq!(straight.save(), loaded.save());
        assert!(RandomCutForest::load(parameters.clone(), &bytes[..bytes.len() / 2]).is_err());
        let other = ForestParameters { trees: 21, ..parameters };
        assert!(matches!(RandomCutForest::load(other, &bytes), Err(LoadError::Parameters(_))));
    }
}

#[test]
fn memory_is_what_the_sample_takes() {
    let mut forest = forest(ForestParameters { dimensions: 2, ..Default::default() });
    let mut random = Random::new(10);
    for at in 0..600 {
        forest.score(&[sine(at, &mut random), noise(&mut random)]);
    }
    let then = forest.bytes();
    assert!((2_000_000..8_000_000).contains(&then), "{then}");
    for at in 0..5000 {
        forest.score(&[sine(at, &mut random), noise(&mut random)]);
    }
    assert_eq!(forest.bytes(), then);
}

#[test]
fn parameters_have_ranges() {
    let default = ForestParameters::default;
    for (bad, words) in [
        (ForestParameters { trees: 0, ..default() }, "trees is 0, but must be from 1 to 1000"),
        (ForestParameters { sample_size: 9, ..default() }, "sample_size is 9, but must be from 10 to 1000"),
        (ForestParameters { time_decay: 0, ..default() }, "time_decay is 0, but must be from 1 to 2147483647"),
        (ForestParameters { shingle: 31, ..default() }, "shingle is 31, but must be from 1 to 30"),
        (ForestParameters { dimensions: 0, ..default() }, "dimensions is 0, but must be from 1 to 30"),
    ] {
        assert_eq!(RandomCutForest::new(bad).unwrap_err().to_string(), words);
    }
}
