//! Names beside points, apart from each other.
//!
//! Enters: points and their names. Leaves: a place for each name that overlaps no other name and no
//! point, or none where there is no room.

/// Width of a letter and height of a line, in pixels, of the drawings' small text.
const LETTER: f64 = 5.9;
const LINE: f64 = 11.0;
/// Room of a point, and distance of its name from it.
const RADIUS: f64 = 5.0;
const GAP: f64 = 8.0;

/// A rectangle: left, top, right, bottom.
type Rect = [f64; 4];

/// A named point, where it is drawn.
#[derive(Debug, Clone)]
pub struct Mark<'a> {
    pub at: (f64, f64),
    pub name: &'a str,
}

/// Left end of the base line of each name, within `bounds`.
pub fn place(marks: &[Mark], bounds: Rect) -> Vec<Option<(f64, f64)>> {
    let mut taken: Vec<Rect> =
        marks.iter().map(|m| [m.at.0 - RADIUS, m.at.1 - RADIUS, m.at.0 + RADIUS, m.at.1 + RADIUS]).collect();
    let mut places = Vec::new();
    for mark in marks {
        let free = candidates(mark).into_iter().find(|rect| {
            let inside = rect[0] >= bounds[0] && rect[1] >= bounds[1] && rect[2] <= bounds[2] && rect[3] <= bounds[3];
            inside && taken.iter().all(|other| !overlap(rect, other))
        });
        places.push(free.map(|rect| (rect[0], rect[3] - 2.5)));
        taken.extend(free);
    }
    places
}

/// Around the point: beside it, above and below, and at the corners; then further up and down.
fn candidates(mark: &Mark) -> Vec<Rect> {
    let (x, y) = mark.at;
    let width = mark.name.chars().count() as f64 * LETTER;
    let [right, left, middle] = [x + GAP, x - GAP - width, x - width / 2.0];
    let places = [(right, 0.0), (left, 0.0), (middle, -1.0), (middle, 1.0)];
    let places = places.into_iter().chain([(right, -1.0), (right, 1.0), (left, -1.0), (left, 1.0)]);
    let rings = (0..3).flat_map(|ring| places.clone().map(move |(left, side)| (left, side, f64::from(ring))));
    let rect = |(left, side, ring): (f64, f64, f64)| {
        let middle = y + side * (GAP + LINE / 2.0 + ring * LINE);
        [left, middle - LINE / 2.0, left + width, middle + LINE / 2.0]
    };
    rings.map(rect).collect()
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Rect = [0.0, 0.0, 400.0, 300.0];

    fn rect(place: (f64, f64), name: &str) -> Rect {
        let (left, bottom) = (place.0, place.1 + 2.5);
        [left, bottom - LINE, left + name.chars().count() as f64 * LETTER, bottom]
    }

    #[test]
    fn names_of_a_crowd_do_not_overlap() {
        let names: Vec<String> = (0..15).map(|i| format!("variant-{i}")).collect();
        let at = |i: usize| (150.0 + (i * 37 % 60) as f64, 120.0 + (i * 53 % 70) as f64);
        let marks: Vec<Mark> = names.iter().enumerate().map(|(i, name)| Mark { at: at(i), name }).collect();
        let placed: Vec<Rect> =
            place(&marks, BOUNDS).iter().zip(&names).filter_map(|(p, name)| Some(rect((*p)?, name))).collect();
        assert!(placed.len() >= 8, "{} of 15", placed.len());
        for (i, a) in placed.iter().enumerate() {
            assert!(placed[..i].iter().all(|b| !overlap(a, b)), "{a:?}");
            assert!(a[0] >= 0.0 && a[2] <= 400.0 && a[1] >= 0.0 && a[3] <= 300.0, "{a:?}");
        }
    }

    #[test]
    fn at_the_edge_a_name_goes_inwards() {
        let places = place(&[Mark { at: (398.0, 150.0), name: "edge" }], BOUNDS);
        assert!(places[0].unwrap().0 < 398.0 - 4.0 * LETTER);
        assert_eq!(place(&[Mark { at: (5.0, 5.0), name: &"x".repeat(200) }], BOUNDS), [None]);
    }
}
