//! Trucks that drive from stop to stop and stay there a while, telling where they are.

use millstream_core::{Duration, EventTime};
use rand::Rng as _;
use rand::rngs::SmallRng;
use serde_json::json;

use super::Producer;

const TRUCKS: usize = 12;
/// Stops with their places, around one city.
const STOPS: [(&str, f64, f64); 8] = [
    ("harbour", 53.5400, 9.9660),
    ("airport", 53.6304, 9.9882),
    ("market", 53.5503, 9.9920),
    ("depot-north", 53.6600, 10.0100),
    ("depot-south", 53.4600, 9.9800),
    ("brewery", 53.5605, 9.9630),
    ("mill", 53.5200, 10.1200),
    ("quarry", 53.4900, 9.8300),
];
/// Trips and stays are short, so that a demo of minutes shows many of both.
const TRIP_SECONDS: std::ops::Range<i64> = 20..60;
const STAY_SECONDS: std::ops::Range<i64> = 10..90;

pub(super) struct Trucks {
    chance: SmallRng,
    fleet: Vec<Truck>,
    next: usize,
}

struct Truck {
    from: usize,
    to: usize,
    left: EventTime,
    arrives: EventTime,
    leaves: EventTime,
}

impl Trucks {
    pub(super) fn new(mut chance: SmallRng, now: EventTime) -> Self {
        let fleet = (0..TRUCKS).map(|number| Truck::depart(&mut chance, number % STOPS.len(), now)).collect();
        Self { chance, fleet, next: 0 }
    }
}

impl Truck {
    fn depart(chance: &mut SmallRng, from: usize, now: EventTime) -> Self {
        let to = (from + chance.random_range(1..STOPS.len())) % STOPS.len();
        let arrives = now + Duration::from_secs(chance.random_range(TRIP_SECONDS));
        let leaves = arrives + Duration::from_secs(chance.random_range(STAY_SECONDS));
        Self { from, to, left: now, arrives, leaves }
    }

    /// How much of the trip is done, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a trip are far below 2^53")]
    fn progress(&self, now: EventTime) -> f64 {
        ((now - self.left).0 as f64 / (self.arrives - self.left).0.max(1) as f64).clamp(0.0, 1.0)
    }
}

impl Producer for Trucks {
    fn stream(&self) -> &'static str {
        "truck-positions"
    }

    fn next(&mut self, now: EventTime) -> (String, String) {
        let number = self.next;
        self.next = (self.next + 1) % self.fleet.len();
        if now >= self.fleet[number].leaves {
            let from = self.fleet[number].to;
            self.fleet[number] = Truck::depart(&mut self.chance, from, now);
        }
        let truck = &self.fleet[number];
        let progress = truck.progress(now);
        let is_there = progress >= 1.0;
        let ((_, from_lat, from_lon), (stop, to_lat, to_lon)) = (STOPS[truck.from], STOPS[truck.to]);
        let between = |from: f64, to: f64| ((from + (to - from) * progress) * 1e5).round() / 1e5;
        let speed = if is_there { 0.0 } else { f64::from(self.chance.random_range(300..700_u32)) / 10.0 };
        let truck_id = format!("truck-{:02}", number + 1);
        let record = json!({
            "truck_id": truck_id,
            "stop_id": is_there.then_some(stop),
            "lat": between(from_lat, to_lat),
            "lon": between(from_lon, to_lon),
            "speed_kmh": speed,
            "event_time": now.to_string(),
        });
        (truck_id, record.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn a_truck_drives_dwells_and_drives_on() {
        let start = EventTime(1_767_225_600_000);
        let mut trucks = Trucks::new(SmallRng::seed_from_u64(7), start);
        let mut stays: Vec<Option<String>> = Vec::new();
        for second in 0..600 {
            for number in 0..TRUCKS {
                let (key, record) = trucks.next(start + Duration::from_secs(second));
                let record: serde_json::Value = serde_json::from_str(&record).unwrap();
                assert_eq!(record["truck_id"], key);
                assert_eq!(record["stop_id"].is_null(), record["speed_kmh"].as_f64().unwrap() > 0.0);
                if number == 0 {
                    let stop = record["stop_id"].as_str().map(ToOwned::to_owned);
                    if stays.last() != Some(&stop) {
                        stays.push(stop);
                    }
                }
            }
        }
        assert!(stays.len() > 5, "{stays:?}");
        assert!(stays.windows(2).all(|pair| pair[0].is_some() != pair[1].is_some()), "{stays:?}");
    }
}
