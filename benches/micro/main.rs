//! Benches of single parts, each against what it could be replaced with: `cargo bench -p millstream-benches`.

mod decode;
mod in_turn;

fn main() {
    decode::run();
}
