//! The Kinesis API on an address and a folder: `cargo run --example serve -- 127.0.0.1:4567 /tmp/streams`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use millstream_local_kinesis::{Settings, Store, router};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: serve <address> <folder>".into());
    };
    #[expect(clippy::disallowed_methods, reason = "a program's clock starts somewhere")]
    let now =
        || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(0));
    let store = Store::open(folder.as_ref(), &Settings::default(), Arc::new(now))?;
    axum::serve(tokio::net::TcpListener::bind(address).await?, router(store)).await?;
    Ok(())
}
