//! `GET …/changes`: a table as server-sent events: a snapshot, then what changes.
//!
//! An event's id is `<epoch>-<change>`. The epoch is when the table's query started, so that an id of an earlier
//! process, or of an earlier table of the same name, is never taken for one of this. A reader that is slow, or was
//! away for longer than changes are kept, gets a new snapshot: nothing is held for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, Stream};
use millstream_core::{Duration, EventTime};
use millstream_engine::{Change, ChangeKind, LiveTable, Snapshot};
use tokio::sync::watch;

use super::queries::shown;
use super::{App, Problem, tables};
use crate::rows::push_elements;

/// How often a comment keeps proxies from closing a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The shortest time between two looks at the table: more changes travel together.
const PACE: Duration = Duration(10);
/// Encoded changes that are kept for other readers of the same table.
const KEPT_BYTES: usize = 16 << 20;

pub(super) async fn follow(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let table = tables::find(&app, &name)?;
    let started = app.engine.query(&name).map_or(app.started, |query| query.started);
    let epoch = format!("{:x}", started.0);
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let seen = last.and_then(|id| id.strip_prefix(&epoch)?.strip_prefix('-')?.parse().ok());
    let news = table.watch();
    let follower = Follower {
        app,
        table: Arc::downgrade(&table),
        news,
        epoch,
        seen,
        watermark: EventTime::MIN,
        looked: None,
        queue: VecDeque::new(),
    };
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(follower.events())).into_response())
}

/// One reader of a table.
struct Follower {
    app: App,
    /// Weak: a table that is dropped ends its readers.
    table: Weak<LiveTable>,
    news: watch::Receiver<u64>,
    epoch: String,
    /// The last change that was sent; `None` before a snapshot.
    seen: Option<u64>,
    watermark: EventTime,
    /// When it last looked at the table.
    looked: Option<EventTime>,
    queue: VecDeque<Step>,
}

/// What is to be sent next.
enum Step {
    Text(Bytes),
    /// Rows of a snapshot: encoded when it is their turn, so that a large table is never in memory as text.
    Rows {
        rows: arrow::array::RecordBatch,
        is_first: bool,
    },
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
        stream::unfold(self, |mut follower| async move {
            let bytes = follower.next().await?;
            Some((bytes, follower))
        })
    }

    /// The next piece; `None` when the table is gone or the service stops.
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        let app = Arc::clone(&self.app);
        loop {
            if let Some(step) = self.queue.pop_front() {
                return Some(step.encode().map_err(std::io::Error::other));
            }
            // The first change goes out at once; those that follow close behind travel together.
            if let Some(looked) = self.looked {
                let since = (app.clock.now() - looked).0;
                app.clock.sleep(Duration((PACE.0 - since).clamp(0, PACE.0))).await;
            }
            self.news.borrow_and_update();
            self.looked = Some(app.clock.now());
            if let Err(problem) = self.look() {
                return Some(Err(std::io::Error::other(problem)));
            }
            if !self.queue.is_empty() {
                continue;
            }
            tokio::select! {
                () = app.stopped() => return None,
                () = app.clock.sleep(KEEP_ALIVE) => self.queue.push_back(Step::Text(Bytes::from_static(b": still here\n\n"))),
                changed = self.news.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                }
            }
        }
    }

    /// Queues what is new.
    fn look(&mut self) -> Result<(), String> {
        let Some(table) = self.table.upgrade() else { return Ok(()) };
        let changes = self.seen.and_then(|seen| table.changes_after(seen));
        match changes {
            Some(changes) => {
                for change in changes {
                    let text = self.app.changes.encode(&self.epoch, table.name(), &change)?;
                    self.seen = Some(change.id);
                    self.queue.push_back(Step::Text(text));
                }
            }
            None => self.queue_snapshot(table.snapshot().map_err(|error| error.strip_backtrace())?),
        }
        let watermark = table.watermark();
        if watermark > self.watermark
            && let Some(text) = shown(watermark)
        {
            self.watermark = watermark;
            let id = self.seen.unwrap_or(0);
            let event = format!(
                "id: {}-{id}\nevent: watermark\ndata: {{\"rows\":[],\"watermark\":\"{text}\"}}\n\n",
                self.epoch
            );
            self.queue.push_back(Step::Text(event.into()));
        }
        Ok(())
    }

    fn queue_snapshot(&mut self, snapshot: Snapshot) {
        self.seen = Some(snapshot.last_change);
        let head = format!("id: {}-{}\nevent: snapshot\ndata: {{\"rows\":[", self.epoch, snapshot.last_change);
        self.queue.push_back(Step::Text(head.into()));
        let batches = snapshot.rows.into_iter().filter(|rows| rows.num_rows() > 0).enumerate();
        self.queue.extend(batches.map(|(index, rows)| Step::Rows { rows, is_first: index == 0 }));
        self.queue.push_back(Step::Text(Bytes::from_static(b"]}\n\n")));
    }
}

impl Step {
    fn encode(self) -> Result<Bytes, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Rows { rows, is_first } => {
                let mut text = if is_first { Vec::new() } else { vec![b','] };
                push_elements(&rows, &mut text).map_err(|problem| problem.to_string())?;
                Ok(text.into())
            }
        }
    }
}

/// Changes as they are sent, encoded once for all readers.
#[derive(Default)]
pub(crate) struct EncodedChanges(Mutex<Encoded>);

#[derive(Default)]
struct Encoded {
    /// By epoch, table and change.
    events: HashMap<(String, String, u64), Bytes>,
    order: VecDeque<(String, String, u64)>,
    bytes: usize,
}

impl EncodedChanges {
    fn encode(&self, epoch: &str, table: &str, change: &Change) -> Result<Bytes, String> {
        let id = (epoch.to_owned(), table.to_owned(), change.id);
        if let Some(event) = self.lock().events.get(&id) {
            return Ok(event.clone());
        }
        let kind = match change.kind {
            ChangeKind::Upsert => "upsert",
            ChangeKind::Delete => "delete",
        };
        let mut event = format!("id: {epoch}-{}\nevent: {kind}\ndata: {{\"rows\":[", change.id).into_bytes();
        push_elements(&change.rows, &mut event).map_err(|problem| problem.to_string())?;
        event.extend_from_slice(b"]}\n\n");
        let event = Bytes::from(event);
        self.lock().keep(id, event.clone());
        Ok(event)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Encoded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Encoded {
    /// Keeps an event; the oldest go when there are too many bytes. Two readers may have encoded the same one.
    fn keep(&mut self, id: (String, String, u64), event: Bytes) {
        self.bytes += event.len();
        if let Some(same) = self.events.insert(id.clone(), event) {
            self.bytes -= same.len();
            return;
        }
        self.order.push_back(id);
        while self.bytes > KEPT_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.events.remove(&oldest).map_or(0, |event| event.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::http::testing::TestService;
    use axum::http::Request;
    use futures::StreamExt as _;
    use tower::ServiceExt as _;

    const TABLES: &str = "CREATE TABLE t (id STRING, n INT) WITH ('connector' = 'stream', 'format' = 'json');
        CREATE MATERIALIZED VIEW v WITH ('ttl' = '1 d') AS SELECT id, sum(n) AS n FROM t GROUP BY id";

    /// An event's id, kind and data.
    type Event = (String, String, serde_json::Value);

    struct Events {
        body: axum::body::BodyDataStream,
        text: String,
    }

    impl Events {
        async fn open(service: &TestService, last: Option<&str>) -> Self {
            let mut request = Request::builder().uri("/api/v1/tables/v/changes");
            if let Some(last) = last {
                request = request.header("last-event-id", last);
            }
            let response = service.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
            Self { body: response.into_body().into_data_stream(), text: String::new() }
        }

        /// The next event that is no watermark; `None` at the end.
        async fn next(&mut self) -> Option<Event> {
            loop {
                while let Some((event, rest)) = self.text.split_once("\n\n") {
                    let fields: BTreeMap<String, String> = (event.lines())
                        .filter_map(|line| line.split_once(": "))
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect();
                    self.text = rest.to_owned();
                    if fields.get("event").is_some_and(|kind| kind != "watermark") {
                        let data = serde_json::from_str(&fields["data"]).unwrap();
                        return Some((fields["id"].clone(), fields["event"].clone(), data));
                    }
                }
                let piece = self.body.next().await?.unwrap();
                self.text.push_str(std::str::from_utf8(&piece).unwrap());
            }
        }
    }

    async fn put(service: &TestService, records: &str) {
        let answer = service.ask("POST", "/api/v1/streams/t/records?key=id", records).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    async fn service() -> TestService {
        let service = TestService::open();
        service.ask("POST", "/api/v1/streams/t", "").await;
        let answer = service.ask("POST", "/api/v1/sql", TABLES).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        service
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_snapshot_comes_first_then_changes_and_a_reader_resumes() {
        let service = service().await;
        let mut events = Events::open(&service, None).await;
        let (_, kind, data) = events.next().await.unwrap();
        assert_eq!((kind.as_str(), data["rows"].as_array().unwrap().len()), ("snapshot", 0));

        put(&service, r#"{"id":"a","n":1}"#).await;
        let (first, kind, data) = events.next().await.unwrap();
        assert_eq!((kind.as_str(), &data["rows"][0]["id"], &data["rows"][0]["n"]), ("upsert", &"a".into(), &1.into()));
        put(&service, r#"{"id":"a","n":2}"#).await;
        let (second, _, data) = events.next().await.unwrap();
        assert_eq!(data["rows"][0]["n"], 3);

        let mut resumed = Events::open(&service, Some(&first)).await;
        let (id, kind, data) = resumed.next().await.unwrap();
        assert_eq!((&id, kind.as_str(), &data["rows"][0]["n"]), (&second, "upsert", &3.into()));

        for foreign in ["ff-1", "1", "", &format!("{second}0")] {
            let mut fresh = Events::open(&service, Some(foreign)).await;
            let (id, kind, data) = fresh.next().await.unwrap();
            assert_eq!((&id, kind.as_str(), &data["rows"][0]["n"]), (&second, "snapshot", &3.into()), "{foreign}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn readers_end_with_their_table_and_with_the_service() {
        let service = service().await;
        let mut events = Events::open(&service, None).await;
        events.next().await.unwrap();
        assert_eq!(service.ask("DELETE", "/api/v1/queries/v", "").await.status, 204);
        assert_eq!(events.next().await, None);

        let service = self::service().await;
        let mut events = Events::open(&service, None).await;
        events.next().await.unwrap();
        service.app.begin_stop();
        assert_eq!(events.next().await, None);
        assert_eq!(service.ask("GET", "/ready", "").await.status, 503);
    }
}
