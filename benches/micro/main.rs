//! Benches of single parts.

fn main() {
    divan::main();
}
