//! `fault-proxy --to 127.0.0.1:4567 --probability 0.1 --seed 7`: prints where it listens, and runs until it is killed.

use clap::Parser;
use fault_proxy::{Faults, Proxy};

#[derive(Parser)]
struct Arguments {
    /// The server, as host and port.
    #[arg(long)]
    to: String,
    /// The part of the calls that go wrong.
    #[arg(long, default_value_t = 0.1)]
    probability: f64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Arguments { to, probability, seed, port } = Arguments::parse();
    let proxy = Proxy::start(&to, port, Faults::all(probability, seed)).await?;
    println!("fault-proxy is ready: http://{}", proxy.address());
    proxy.run().await;
    Ok(())
}
