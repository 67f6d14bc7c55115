//! Regions where points are dense, over the last points of a stream: DBSCAN (Ester, Kriegel, Sander and Xu 1996) over a
//! sliding window, told as boxes, as the HOTSPOTS function of Kinesis Data Analytics does.
//!
//! A point that has `min_points` points within `scan_radius` (itself among them) is a core. Cores within the radius of
//! each other are of one hotspot, and so is every point within the radius of a core; where that is true of cores of two
//! hotspots, the oldest core has it. Who is near whom is kept as points come and go, so that a point costs one pass over
//! the window, and not one for each pair.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::parameters::{BadParameter, check};
use crate::saved::{self, LoadError};

/// What HOTSPOTS takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HotspotParameters {
    /// Points looked at: 100 to 1000.
    pub window_size: u32,
    /// The distance within which points are neighbours; above 0.
    pub scan_radius: f64,
    /// Points that make a hotspot: 2 to `window_size`.
    pub min_points: u32,
    /// Coordinates of a point.
    pub dimensions: usize,
}

impl HotspotParameters {
    /// Refuses what is out of the ranges above.
    pub fn check(&self) -> Result<(), BadParameter> {
        check("window_size", self.window_size, 100..=1000)?;
        check("min_points", self.min_points, 2..=self.window_size)?;
        if self.scan_radius > 0.0 && self.scan_radius.is_finite() {
            return Ok(());
        }
        let value = self.scan_radius.to_string();
        Err(BadParameter { name: "scan_radius", value, range: "above 0".to_owned() })
    }
}

/// A radius that is not a number is refused.
impl Eq for HotspotParameters {}

impl Hash for HotspotParameters {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.window_size, self.scan_radius.to_bits(), self.min_points, self.dimensions).hash(state);
    }
}

/// A region where points are dense.
#[derive(Clone, Debug, PartialEq)]
pub struct Hotspot {
    /// Points of the hotspot, divided by the volume of its box. A side that has no length counts as the scan radius.
    pub density: f64,
    /// The least of each coordinate.
    pub min_values: Vec<f64>,
    /// The greatest of each coordinate.
    pub max_values: Vec<f64>,
}

/// The last points, and who is near whom.
///
/// ```
/// use millstream_analytics::{HotspotParameters, Hotspots};
/// let parameters = HotspotParameters { window_size: 100, scan_radius: 1.5, min_points: 3, dimensions: 1 };
/// let mut hotspots = Hotspots::new(parameters)?;
/// for x in [4.0, 50.0, 5.0, 6.0] {
///     hotspots.add(&[x]);
/// }
/// let found = hotspots.find();
/// assert_eq!((found.len(), &found[0].min_values[..], &found[0].max_values[..]), (1, &[4.0][..], &[6.0][..]));
/// assert_eq!(found[0].density, 1.5);
/// # Ok::<(), millstream_analytics::BadParameter>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hotspots {
    parameters: HotspotParameters,
    /// The oldest first.
    points: VecDeque<Point>,
    /// The number of the oldest; numbers go on by one.
    oldest: u64,
}

#[derive(Clone, Debug)]
struct Point {
    at: Box<[f64]>,
    /// Numbers of the points within the radius, ascending, without its own.
    neighbours: VecDeque<u64>,
}

impl Hotspots {
    pub fn new(parameters: HotspotParameters) -> Result<Self, BadParameter> {
        parameters.check()?;
        Ok(Self { parameters, points: VecDeque::new(), oldest: 0 })
    }

    /// Takes the next point, and lets the oldest go when the window is full. A coordinate that is not a number is 0.
    pub fn add(&mut self, point: &[f64]) {
        debug_assert_eq!(point.len(), self.parameters.dimensions);
        if self.points.len() == self.parameters.window_size as usize {
            self.remove_oldest();
        }
        let at: Box<[f64]> = point.iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect();
        let number = self.oldest + self.points.len() as u64;
        let mut neighbours = VecDeque::new();
        for (other_number, other) in (self.oldest..).zip(&mut self.points) {
            if is_near(&at, &other.at, self.parameters.scan_radius) {
                other.neighbours.push_back(number);
                neighbours.push_back(other_number);
            }
        }
        self.points.push_back(Point { at, neighbours });
    }

    fn remove_oldest(&mut self) {
        let Some(gone) = self.points.pop_front() else { return };
        self.oldest += 1;
        for neighbour in gone.neighbours {
            let neighbour = self.index(neighbour);
            // The oldest point of all is the first of everyone's neighbours.
            self.points[neighbour].neighbours.pop_front();
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a window has at most 1000 points")]
    fn index(&self, number: u64) -> usize {
        (number - self.oldest) as usize
    }

    fn is_core(&self, point: &Point) -> bool {
        point.neighbours.len() + 1 >= self.parameters.min_points as usize
    }

    /// The hotspots among the points of the window, the densest first.
    pub fn find(&self) -> Vec<Hotspot> {
        let mut is_taken = vec![false; self.points.len()];
        let mut hotspots = Vec::new();
        for start in 0..self.points.len() {
            if is_taken[start] || !self.is_core(&self.points[start]) {
                continue;
            }
            is_taken[start] = true;
            let mut members = vec![start];
            let mut next = 0;
            while next < members.len() {
                let point = &self.points[members[next]];
                next += 1;
                if !self.is_core(point) {
                    continue;
                }
                for neighbour in &point.neighbours {
                    let neighbour = self.index(*neighbour);
                    if !std::mem::replace(&mut is_taken[neighbour], true) {
                        members.push(neighbour);
                    }
                }
            }
            hotspots.push(self.hotspot(&members));
        }
        hotspots.sort_by(|a, b| b.density.total_cmp(&a.density));
        hotspots
    }

    #[expect(clippy::cast_precision_loss, reason = "a window has at most 1000 points")]
    fn hotspot(&self, members: &[usize]) -> Hotspot {
        let first = &self.points[members[0]].at;
        let (mut min_values, mut max_values) = (first.to_vec(), first.to_vec());
        for member in members {
            for (dimension, x) in self.points[*member].at.iter().enumerate() {
                min_values[dimension] = min_values[dimension].min(*x);
                max_values[dimension] = max_values[dimension].max(*x);
            }
        }
        let mut density = members.len() as f64;
        for (min, max) in min_values.iter().zip(&max_values) {
            density /= if max > min { max - min } else { self.parameters.scan_radius };
        }
        Hotspot { density: density.min(f64::MAX), min_values, max_values }
    }

    pub fn bytes(&self) -> usize {
        let neighbours: usize = self.points.iter().map(|point| point.neighbours.capacity()).sum();
        self.points.len() * (size_of::<Point>() + self.parameters.dimensions * size_of::<f64>())
            + neighbours * size_of::<u64>()
    }

    pub fn save(&self) -> Vec<u8> {
        let points: Vec<&[f64]> = self.points.iter().map(|point| &*point.at).collect();
        saved::save(&(&self.parameters, points))
    }

    pub fn load(parameters: HotspotParameters, bytes: &[u8]) -> Result<Self, LoadError> {
        let (had, points): (HotspotParameters, Vec<Vec<f64>>) = saved::load(bytes)?;
        if had != parameters {
            return Err(LoadError::Parameters(format!("{had:?}, not {parameters:?}")));
        }
        if let Some(point) = points.iter().find(|point| point.len() != parameters.dimensions) {
            return Err(LoadError::Form(format!("a point has {} coordinates", point.len())));
        }
        let mut hotspots = Self::new(parameters).map_err(|error| LoadError::Parameters(error.to_string()))?;
        for point in &points {
            hotspots.add(point);
        }
        Ok(hotspots)
    }
}

fn is_near(a: &[f64], b: &[f64], radius: f64) -> bool {
    let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    squared <= radius * radius
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const PARAMETERS: HotspotParameters =
        HotspotParameters { window_size: 1000, scan_radius: 0.2, min_points: 17, dimensions: 2 };

    /// The data of the developer guide's example: two fifths of the points in squares of side 1.
    fn guide(random: &mut Random) -> [f64; 2] {
        let draw = random.fraction();
        let mut within = |low: f64, side: f64| low + side * random.fraction();
        match draw {
            ..0.2 => [within(2.0, 1.0), within(7.0, 1.0)],
            ..0.4 => [within(6.0, 1.0), within(1.0, 1.0)],
            _ => [within(0.0, 10.0), within(0.0, 10.0)],
        }
    }

    #[test]
    fn two_clusters_are_found_in_noise() {
        let mut random = Random::new(11);
        let mut hotspots = Hotspots::new(PARAMETERS).unwrap();
        for _ in 0..1500 {
            hotspots.add(&guide(&mut random));
        }
        let found = hotspots.find();
        // The guide shows those above a density of 40.
        let dense: Vec<_> = found.iter().filter(|hotspot| hotspot.density > 40.0).collect();
        assert_eq!(dense.len(), 2, "{found:?}");
        for (low, high) in [([2.0, 7.0], [3.0, 8.0]), ([6.0, 1.0], [7.0, 2.0])] {
            let of_cluster = dense.iter().filter(|hotspot| {
                (0..2).all(|i| {
                    (hotspot.min_values[i] - low[i]).abs() < 0.25 && (hotspot.max_values[i] - high[i]).abs() < 0.25
                })
            });
            assert_eq!(of_cluster.count(), 1, "{dense:?}");
        }
    }

    /// By definition: every pair is looked at, cores are joined until nothing changes.
    fn by_definition(points: &[[f64; 2]]) -> Vec<usize> {
        let near = |a: usize, b: usize| is_near(&points[a], &points[b], PARAMETERS.scan_radius);
        let all = 0..points.len();
        let core: Vec<bool> = all
            .clone()
            .map(|a| all.clone().filter(|b| near(a, *b)).count() >= PARAMETERS.min_points as usize)
            .collect();
        let mut of: Vec<usize> = all.clone().collect();
        while let Some((a, b)) = all
            .clone()
            .flat_map(|a| all.clone().map(move |b| (a, b)))
            .find(|(a, b)| core[*a] && core[*b] && of[*a] < of[*b] && near(*a, *b))
        {
            let (from, to) = (of[b], of[a]);
            of.iter_mut().filter(|of| **of == from).for_each(|of| *of = to);
        }
        let mut sizes: Vec<usize> = all
            .clone()
            .filter(|a| core[*a] && of[*a] == *a)
            .map(|a| all.clone().filter(|b| core[*b] && of[*b] == a).count())
            .collect();
        sizes.sort_unstable();
        sizes
    }

    #[test]
    fn sliding_finds_what_the_definition_finds() {
        let mut random = Random::new(3);
        let parameters = HotspotParameters { window_size: 150, ..PARAMETERS };
        let mut hotspots = Hotspots::new(parameters).unwrap();
        let points: Vec<[f64; 2]> = (0..400).map(|_| guide(&mut random).map(|x| x / 3.0)).collect();
        for (number, point) in points.iter().enumerate() {
            hotspots.add(point);
            if number % 40 == 39 {
                let window = &points[(number + 1).saturating_sub(150)..=number];
                assert_eq!(hotspots.find().len(), by_definition(window).len(), "after {number}");
            }
        }
    }

    #[test]
    fn equal_points_have_a_density() {
        let mut hotspots = Hotspots::new(PARAMETERS).unwrap();
        (0..16).for_each(|_| hotspots.add(&[1.0, f64::NAN]));
        assert_eq!(hotspots.find(), []);
        hotspots.add(&[1.0, 0.0]);
        let found = hotspots.find();
        assert_eq!((&found[0].min_values, &found[0].max_values), (&vec![1.0, 0.0], &vec![1.0, 0.0]));
        assert!((found[0].density - 17.0 / 0.04).abs() < 1e-6);
    }

    #[test]
    fn saved_and_loaded_it_goes_on_the_same() {
        let mut random = Random::new(5);
        let mut straight = Hotspots::new(PARAMETERS).unwrap();
        (0..1200).for_each(|_| straight.add(&guide(&mut random)));
        let bytes = straight.save();
        let mut loaded = Hotspots::load(PARAMETERS, &bytes).unwrap();
        for _ in 0..300 {
            let point = guide(&mut random);
            straight.add(&point);
            loaded.add(&point);
            assert_eq!(straight.find(), loaded.find());
        }
        assert!(Hotspots::load(PARAMETERS, &bytes[..100]).is_err());
        let other = HotspotParameters { min_points: 3, ..PARAMETERS };
        assert!(matches!(Hotspots::load(other, &bytes), Err(LoadError::Parameters(_))));
    }

    #[test]
    fn parameters_have_ranges() {
        for (bad, words) in [
            (HotspotParameters { window_size: 99, ..PARAMETERS }, "window_size is 99, but must be from 100 to 1000"),
            (HotspotParameters { min_points: 1001, ..PARAMETERS }, "min_points is 1001, but must be from 2 to 1000"),
            (HotspotParameters { scan_radius: 0.0, ..PARAMETERS }, "scan_radius is 0, but must be above 0"),
        ] {
            assert_eq!(Hotspots::new(bad).unwrap_err().to_string(), words);
        }
    }
}
