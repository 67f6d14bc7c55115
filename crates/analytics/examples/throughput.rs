//! How many points a second one core takes: `cargo run --release -p millstream-analytics --example throughput`.

use std::time::Instant;

use millstream_analytics::{ForestParameters, HotspotParameters, Hotspots, RandomCutForest};

const POINTS: u32 = 20_000;

#[expect(clippy::disallowed_methods, reason = "a program's clock starts somewhere")]
fn main() {
    let point = |at: u32| {
        let angle = f64::from(at) / 50.0;
        let noise = f64::from(at.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
        [10.0 * angle.sin() + noise, 5.0 * (angle / 7.0).cos() - noise]
    };
    let started = Instant::now();
    let report = |what: &str, from: Instant, points: u32| {
        println!("{what:<60} {:>9.0} points/s", f64::from(points) / from.elapsed().as_secs_f64());
    };
    for (trees, sample_size, time_decay, shingle) in
        [(100, 256, 100_000, 1), (100, 256, 1000, 1), (100, 256, 100_000, 8), (10, 10, 10, 1), (1000, 1000, 100_000, 1)]
    {
        let parameters = ForestParameters { trees, sample_size, time_decay, shingle, dimensions: 2, seed: 1 };
        let points = (POINTS * 100 / trees).min(4 * POINTS);
        for explains in [false, true] {
            let mut forest = RandomCutForest::new(parameters.clone()).expect("these parameters are good");
            (0..1000).for_each(|at| _ = forest.score(&point(at)));
            let from = Instant::now();
            for at in 1000..1000 + points {
                if explains {
                    forest.explain(&point(at));
                } else {
                    forest.score(&point(at));
                }
            }
            let what = if explains { "explain" } else { "score" };
            report(
                &format!("{what}: {trees} trees of {sample_size}, decay {time_decay}, shingle {shingle}"),
                from,
                points,
            );
            if !explains {
                let from = Instant::now();
                let bytes = forest.save();
                println!(
                    "    {} kB in memory, saved as {} kB in {:?}",
                    forest.bytes() / 1000,
                    bytes.len() / 1000,
                    from.elapsed()
                );
            }
        }
    }
    let parameters = HotspotParameters { window_size: 1000, scan_radius: 0.5, min_points: 17, dimensions: 2 };
    let mut hotspots = Hotspots::new(parameters).expect("these parameters are good");
    let from = Instant::now();
    for at in 0..POINTS {
        hotspots.add(&point(at));
        hotspots.find();
    }
    report("hotspots: window of 1000", from, POINTS);
    println!("{:?} in all", started.elapsed());
}
