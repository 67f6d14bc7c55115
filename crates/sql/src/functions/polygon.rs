//! Polygons in WKT, and whether a point lies in one. Plane geometry over longitude and latitude.

/// One polygon or several, each with its holes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Polygons {
    polygons: Vec<Vec<Ring>>,
    /// West, south, east, north.
    bounds: [f64; 4],
}

/// A closed line: the last point is the first.
type Ring = Vec<Point>;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    longitude: f64,
    latitude: f64,
}

/// A polygon with more points than this is refused: each row looks at all of them.
const MAX_POINTS: usize = 10_000;

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Inside,
    Boundary,
    Outside,
}

impl Polygons {
    /// Reads `POLYGON((lon lat, …), (hole…))` or `MULTIPOLYGON(((…)), …)`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let polygons = reader.shape().map_err(|wrong| {
            let at = text.len() - reader.rest.len();
            format!(
                "the polygon is not understood: {wrong} (character {}); write POLYGON((lon lat, lon lat, …, the first point again))",
                text[..at].chars().count() + 1,
            )
        })?;
        let points = || polygons.iter().flatten().flatten();
        let count = points().count();
        if count > MAX_POINTS {
            return Err(format!("the polygon has {count} points, the limit is {MAX_POINTS}"));
        }
        let bounds =
            points().fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |bounds, point| {
                let [west, south, east, north] = bounds;
                let Point { longitude, latitude } = *point;
                [west.min(longitude), south.min(latitude), east.max(longitude), north.max(latitude)]
            });
        Ok(Self { polygons, bounds })
    }

    /// Whether a point lies in one of them. Its boundary belongs to a polygon, the boundaries of its holes too.
    pub(super) fn contains(&self, latitude: f64, longitude: f64) -> bool {
        // A polygon over the antimeridian goes on beyond 180; the same point is one turn further there.
        [longitude, longitude + 360.0, longitude - 360.0].into_iter().any(|longitude| {
            let point = Point { longitude, latitude };
            self.is_in_bounds(point) && self.polygons.iter().any(|rings| is_in_polygon(rings, point))
        })
    }

    fn is_in_bounds(&self, point: Point) -> bool {
        let [west, south, east, north] = self.bounds;
        (west..=east).contains(&point.longitude) && (south..=north).contains(&point.latitude)
    }
}

fn is_in_polygon(rings: &[Ring], point: Point) -> bool {
    let Some((outer, holes)) = rings.split_first() else { return false };
    match place(outer, point) {
        Place::Outside => false,
        Place::Boundary => true,
        Place::Inside => holes.iter().all(|hole| place(hole, point) != Place::Inside),
    }
}

/// Counts how often a ray to the east crosses the ring. An edge counts with its lower end and without its upper one,
/// so that a ray through a corner crosses once.
fn place(ring: &[Point], point: Point) -> Place {
    let mut inside = false;
    for edge in ring.windows(2) {
        let [from, to] = [edge[0], edge[1]];
        // Twice the area of the triangle of the edge and the point: above zero when the point is to the left.
        let left = (to.longitude - from.longitude) * (point.latitude - from.latitude)
            - (point.longitude - from.longitude) * (to.latitude - from.latitude);
        let between = |a: f64, b: f64, value: f64| (a.min(b)..=a.max(b)).contains(&value);
        if left == 0.0
            && between(from.longitude, to.longitude, point.longitude)
            && between(from.latitude, to.latitude, point.latitude)
        {
            return Place::Boundary;
        }
        let upwards = from.latitude <= point.latitude && point.latitude < to.latitude;
        let downwards = to.latitude <= point.latitude && point.latitude < from.latitude;
        if (upwards && left > 0.0) || (downwards && left < 0.0) {
            inside = !inside;
        }
    }
    if inside { Place::Inside } else { Place::Outside }
}

/// Reads WKT from left to right.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn shape(&mut self) -> Result<Vec<Vec<Ring>>, String> {
        let multiple = self.word("MULTIPOLYGON");
        if !multiple && !self.word("POLYGON") {
            return Err("expected POLYGON or MULTIPOLYGON".to_owned());
        }
        let polygons =
            if multiple { self.list(|reader| reader.list(Self::ring))? } else { vec![self.list(Self::ring)?] };
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() { Ok(polygons) } else { Err("expected the end".to_owned()) }
    }

    fn ring(&mut self) -> Result<Ring, String> {
        let ring = self.list(Self::point)?;
        if ring.first() != ring.last() {
            return Err("a ring is not closed: its last point has to be its first".to_owned());
        }
        if ring.len() < 4 {
            return Err(format!(
                "a ring needs three different points and the first one again, found {} points",
                ring.len()
            ));
        }
        Ok(ring)
    }

    fn point(&mut self) -> Result<Point, String> {
        let longitude = self.number()?;
        let latitude = self.number()?;
        if !(-360.0..=360.0).contains(&longitude) {
            return Err(format!("the longitude {longitude} is out of range: -360 to 360"));
        }
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(format!("the latitude {latitude} is out of range: -90 to 90; the longitude comes first"));
        }
        Ok(Point { longitude, latitude })
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        if !self.mark('(') {
            return Err("expected (".to_owned());
        }
        let mut items = vec![item(self)?];
        while self.mark(',') {
            items.push(item(self)?);
        }
        if self.mark(')') { Ok(items) } else { Err("expected , or )".to_owned()) }
    }

    fn number(&mut self) -> Result<f64, String> {
        self.rest = self.rest.trim_start();
        let end =
            self.rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')')).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let value = number.parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| format!("expected a number, found `{number}`"))?;
        self.rest = rest;
        Ok(value)
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if found {
            self.rest = &rest[word.len()..];
        }
        found
    }

    fn mark(&mut self, mark: char) -> bool {
        let rest = self.rest.trim_start();
        rest.strip_prefix(mark).map(|rest| self.rest = rest).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = "POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (4 4, 6 4, 6 6, 4 6, 4 4))";

    #[test]
    fn points_in_a_square_with_a_hole() {
        let square = Polygons::parse(SQUARE).unwrap();
        for (longitude, latitude, expected) in [
            (1.0, 1.0, true),
            (5.0, 5.0, false),
            (5.0, 1.0, true),
            (11.0, 5.0, false),
            (-1.0, 0.0, false),
            (0.0, 0.0, true),
            (10.0, 5.0, true),
            (4.0, 5.0, true),
            (6.0, 6.0, true),
            (5.0, 10.0, true),
            (5.0, 10.000_001, false),
        ] {
            assert_eq!(square.contains(latitude, longitude), expected, "{longitude} {latitude}");
        }
    }

    #[test]
    fn a_ray_through_corners_counts_each_once() {
        let diamond = Polygons::parse("polygon ((0 -1, 1 0, 0 1, -1 0, 0 -1))").unwrap();
        assert!(diamond.contains(0.0, 0.0) && diamond.contains(0.0, -0.5));
        assert!(!diamond.contains(0.0, -1.5) && !diamond.contains(1.0, -0.5) && !diamond.contains(0.9, 0.5));
        let notched = Polygons::parse("POLYGON((0 0, 4 0, 4 4, 2 2, 0 4, 0 0))").unwrap();
        assert!(notched.contains(2.0, 1.0) && notched.contains(3.0, 0.5) && !notched.contains(3.0, 2.0));
    }

    #[test]
    fn the_direction_of_a_ring_means_nothing() {
        let clockwise = Polygons::parse("POLYGON((0 0, 0 10, 10 10, 10 0, 0 0))").unwrap();
        assert!(clockwise.contains(5.0, 5.0) && !clockwise.contains(5.0, 15.0));
    }

    #[test]
    fn a_polygon_over_the_antimeridian_goes_on_beyond_180() {
        let fiji = Polygons::parse("POLYGON((177 -20, 183 -20, 183 -15, 177 -15, 177 -20))").unwrap();
        assert!(fiji.contains(-17.0, 178.0) && fiji.contains(-17.0, -178.0) && fiji.contains(-17.0, 180.0));
        assert!(!fiji.contains(-17.0, -176.0) && !fiji.contains(-17.0, 176.0));
        let halves = Polygons::parse(
            "MULTIPOLYGON(((177 -20, 180 -20, 180 -15, 177 -15, 177 -20)), ((-180 -20, -177 -20, -177 -15, -180 -15, -180 -20)))",
        );
        let halves = halves.unwrap();
        assert!(halves.contains(-17.0, 178.0) && halves.contains(-17.0, -178.0) && halves.contains(-17.0, -180.0));
        assert!(!halves.contains(-17.0, 0.0));
    }

    #[test]
    fn what_is_no_polygon_is_refused_with_its_place() {
        for (text, wrong) in [
            ("", "expected POLYGON"),
            ("POINT(1 2)", "expected POLYGON"),
            ("POLYGON EMPTY", "expected ("),
            ("POLYGON((0 0, 1 0, 1 1))", "not closed"),
            ("POLYGON((0 0, 1 1, 0 0))", "three different points"),
            ("POLYGON((0 0, 1 0, 1 91, 0 0))", "latitude 91 is out of range"),
            ("POLYGON((0 0, 361 0, 1 1, 0 0))", "longitude 361 is out of range"),
            ("POLYGON((0 0, 1 0, 1 x, 0 0))", "expected a number, found `x` (character 22)"),
            ("POLYGON((0 0, 1 0, nan 1, 0 0))", "expected a number, found `nan`"),
            ("POLYGON((0 0, 1 0, 1 1, 0 0)", "expected , or )"),
            ("POLYGON((0 0, 1 0, 1 1, 0 0)) x", "expected the end"),
            ("POLYGON((0 0 5, 1 0 5, 1 1 5, 0 0 5))", "expected , or )"),
        ] {
            let error = Polygons::parse(text).unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
        let ring: Vec<String> = (0..=MAX_POINTS).map(|n| format!("{} {}", n % 90, n % 80)).collect();
        let error = Polygons::parse(&format!("POLYGON(({}, 0 0))", ring.join(", "))).unwrap_err();
        assert!(error.contains("limit"), "{error}");
    }
}
