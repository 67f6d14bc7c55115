//! The page and the example queries are embedded: a new build of either makes a new binary. Building them is not done
//! here.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
    println!("cargo::rerun-if-changed=../../queries");
}
