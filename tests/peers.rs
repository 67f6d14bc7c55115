//! Real servers of other people, installed by `scripts/setup test` and started here on 127.0.0.1.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use millstream_core::{BoxFuture, Clock, Duration, EventTime};

/// A server, stopped with the value.
pub(crate) struct Peer {
    pub(crate) port: u16,
    process: Child,
}

impl Peer {
    /// Starts a program whose last argument is a port.
    pub(crate) async fn start(mut command: Command) -> Self {
        let port = {
            let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            free.local_addr().unwrap().port()
        };
        let name = command.get_program().display().to_string();
        command.arg(port.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}: run `scripts/setup test`"));
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("{name} ended with {status}");
            }
            WallClock.sleep(Duration(20)).await;
        }
        Self { port, process }
    }

    /// moto: Kinesis, S3 and more in one process.
    pub(crate) async fn moto() -> Self {
        let program = peers().join("python/bin/moto_server");
        assert!(program.exists(), "moto is not installed: run `scripts/setup test`");
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port"]);
        Self::start(command).await
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.process.kill().expect("the process is ours");
        self.process.wait().expect("a killed process ends");
    }
}

/// The folder `scripts/setup test` fills.
pub(crate) fn peers() -> PathBuf {
    match std::env::var_os("MILLSTREAM_PEERS") {
        Some(folder) => folder.into(),
        None => PathBuf::from(std::env::var_os("HOME").expect("a home folder")).join(".cache/millstream-peers"),
    }
}

/// These servers stamp records with the time of day.
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the clock of servers in other processes")]
    fn now(&self) -> EventTime {
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        EventTime(i64::try_from(age.as_millis()).unwrap())
    }

    #[expect(clippy::disallowed_methods, reason = "the clock of servers in other processes")]
    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(length.to_std()))
    }
}
