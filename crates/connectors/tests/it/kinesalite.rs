//! A server that only these tests start.

use std::process::Command;

use crate::peers::{Peer, peers};

/// kinesalite: Kinesis, small and fast.
pub(crate) async fn kinesalite() -> Peer {
    let folder = peers().join("node");
    let listen =
        "require('kinesalite')({ createStreamMs: 5, updateStreamMs: 5 }).listen(+process.argv[1], '127.0.0.1')";
    let is_there = folder.join("node_modules/kinesalite").exists();
    assert!(is_there, "kinesalite is not installed: run `scripts/setup test`");
    let mut command = Command::new("node");
    command.current_dir(folder).args(["--eval", listen]);
    Peer::start(command).await
}
