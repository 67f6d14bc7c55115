//! Where a query's rows go: a live table, a sink's task, or whoever asked.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use millstream_core::{Clock, Duration, Emission, EventTime, Prepared, Sink, SinkError, SinkState, Window};
use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::Saver;
use crate::live_table::LiveTable;
use crate::stages::Part;

/// Emissions that may wait for a slow sink before its query waits too.
pub(crate) const SINK_QUEUE: usize = if cfg!(test) { 1 << 16 } else { 64 };
/// The first pause before a sink is tried again; doubled each time.
const FIRST_RETRY: Duration = Duration(100);
/// The longest pause between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How often a sink may roll files and send what lingers.
const TICK: Duration = Duration::from_secs(1);

/// Final rows of a live table, for those who want them as they come: `millstream run`.
#[derive(Clone, Debug)]
pub struct Captured {
    pub table: String,
    pub rows: RecordBatch,
}

/// The end of a pipeline, written by one closer.
pub(crate) enum Output {
    LiveTable(Arc<LiveTable>, Option<mpsc::Sender<Captured>>),
    /// Final rows to the task that owns a sink.
    Sink(mpsc::Sender<ToSink>),
    /// Rows to a client, until it leaves.
    Client(mpsc::Sender<Emission>),
}

/// Why an output takes no more.
#[derive(Debug)]
pub(crate) enum OutputError {
    /// The client left, or the sink's task has ended and said why elsewhere.
    Gone,
    /// The live table could not take the rows.
    Broken(String),
}

impl From<datafusion::error::DataFusionError> for OutputError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Broken(error.strip_backtrace())
    }
}

impl Output {
    /// Whether whoever took the rows has left.
    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(self, Self::Client(queue) if queue.is_closed())
    }

    /// Whether it shows windows before they close.
    pub(crate) fn shows_open_windows(&self) -> bool {
        matches!(self, Self::LiveTable(_, None))
    }

    /// The rows of a window, or a part of them.
    pub(crate) fn window(
        &self,
        window: Window,
        rows: RecordBatch,
        is_final: bool,
        part: Part,
    ) -> Result<(), OutputError> {
        match self {
            Self::LiveTable(table, capture) => {
                match part {
                    Part::Whole => table.replace_window(window, &rows, is_final)?,
                    Part::First => table.begin_window(window, &rows)?,
                    Part::Later => table.add_to_window(window, &rows)?,
                }
                if is_final { capture_rows(table, capture.as_ref(), rows) } else { Ok(()) }
            }
            Self::Sink(_) | Self::Client(_) if !is_final || rows.num_rows() == 0 => Ok(()),
            Self::Sink(queue) => send(queue, ToSink::Write(Emission { rows, window: Some(window) })),
            Self::Client(queue) => send(queue, Emission { rows, window: Some(window) }),
        }
    }

    /// Rows of a stateless query.
    pub(crate) fn append(&self, rows: RecordBatch, now: EventTime) -> Result<(), OutputError> {
        match self {
            Self::LiveTable(table, capture) => {
                table.append(rows.clone(), now)?;
                capture_rows(table, capture.as_ref(), rows)
            }
            Self::Sink(queue) => send(queue, ToSink::Write(Emission { rows, window: None })),
            Self::Client(queue) => send(queue, Emission { rows, window: None }),
        }
    }

    /// Changed rows of an updating query, and the key columns of rows that are gone.
    pub(crate) fn update(&self, rows: &RecordBatch, gone: Option<&[ArrayRef]>) -> Result<(), OutputError> {
        match self {
            Self::LiveTable(table, _) => {
                if rows.num_rows() > 0 {
                    table.upsert(rows)?;
                }
                gone.map_or(Ok(()), |keys| table.delete(keys))?;
                Ok(())
            }
            // Planning lets only live tables take updates.
            Self::Sink(_) | Self::Client(_) => Err(OutputError::Broken("the sink cannot take updates".to_owned())),
        }
    }

    /// Asks the sink, behind all that was written, what it needs to go on from here.
    pub(crate) fn prepare(&self, last: bool) -> Result<Option<oneshot::Receiver<Prepared>>, OutputError> {
        let Self::Sink(queue) = self else { return Ok(None) };
        let (reply, prepared) = oneshot::channel();
        send(queue, ToSink::Prepare { last, reply })?;
        Ok(Some(prepared))
    }

    /// Writes to this table from now on, which shows what its own showed.
    pub(crate) fn take_over(&mut self, table: Arc<LiveTable>) -> Result<(), OutputError> {
        if let Self::LiveTable(own, _) = self {
            table.adopt(own)?;
            *own = table;
        }
        Ok(())
    }

    /// The query is over, for good.
    pub(crate) fn finish(&self) {
        if let Self::Sink(queue) = self {
            // A sink that is gone has said why.
            let _ = send(queue, ToSink::Finish);
        }
    }

    /// What a checkpoint keeps of it.
    pub(crate) fn save(&self, saver: &mut Saver, is_finished: bool) -> Result<(), OutputError> {
        match self {
            Self::LiveTable(table, _) => Ok(table.save(saver, is_finished)?),
            Self::Sink(_) | Self::Client(_) => Ok(()),
        }
    }

    /// How far event time has come.
    pub(crate) fn watermark(&self, watermark: EventTime) -> Result<(), OutputError> {
        match self {
            Self::LiveTable(table, _) => Ok(table.advance(watermark)?),
            Self::Sink(_) | Self::Client(_) => Ok(()),
        }
    }
}

fn capture_rows(
    table: &LiveTable,
    capture: Option<&mpsc::Sender<Captured>>,
    rows: RecordBatch,
) -> Result<(), OutputError> {
    let Some(capture) = capture.filter(|_| rows.num_rows() > 0) else { return Ok(()) };
    capture.blocking_send(Captured { table: table.name().to_owned(), rows }).map_err(|_| OutputError::Gone)
}

fn send<T>(queue: &mpsc::Sender<T>, message: T) -> Result<(), OutputError> {
    queue.blocking_send(message).map_err(|_| OutputError::Gone)
}

/// To the task of a sink, in order.
pub(crate) enum ToSink {
    Write(Emission),
    /// A checkpoint is taken at this point. `last`: nothing comes behind it.
    Prepare {
        last: bool,
        reply: oneshot::Sender<Prepared>,
    },
    /// The checkpoint that was prepared last is durable.
    Commit(oneshot::Sender<()>),
    /// The query is over: everything is to be made visible.
    Finish,
}

/// What a sink goes on from.
pub(crate) enum Recover {
    /// No checkpoints are taken.
    Nothing,
    /// The newest checkpoint, if it knows of the sink.
    From(Option<SinkState>),
}

/// Owns a sink until its query ends; answers why it stopped before that, if it did, and whether it came to its end.
/// Where checkpoints are taken, it recovers from what the newest one says of it.
pub(crate) async fn drive_sink(
    mut sink: Box<dyn Sink>,
    mut queue: mpsc::Receiver<ToSink>,
    clock: Arc<dyn Clock>,
    recover: Recover,
) -> Result<bool, SinkError> {
    if let Recover::From(state) = recover {
        patiently(&clock, sink.as_mut(), Call::Recover(state.as_ref())).await?;
    }
    let mut next_tick = clock.now() + TICK;
    loop {
        tokio::select! {
            biased;
            message = queue.recv() => match message {
                Some(ToSink::Write(emission)) => {
                    patiently(&clock, sink.as_mut(), Call::Write(&emission)).await?;
                }
                Some(ToSink::Prepare { last, reply }) => {
                    let prepared = patiently(&clock, sink.as_mut(), Call::Prepare { last }).await?;
                    // A writer that is gone is not waiting.
                    let _ = reply.send(prepared);
                }
                Some(ToSink::Commit(reply)) => {
                    patiently(&clock, sink.as_mut(), Call::Commit).await?;
                    let _ = reply.send(());
                }
                Some(ToSink::Finish) => {
                    patiently(&clock, sink.as_mut(), Call::Finish).await?;
                    return Ok(true);
                }
                None => return Ok(false),
            },
            // Messages do not put it off: a sink that is busy has to roll too.
            () = clock.sleep(Duration((next_tick - clock.now()).0.max(0))) => {
                sink.tick(clock.now()).await.or_else(retry_later)?;
                next_tick = clock.now() + TICK;
            }
            worked = sink.work() => worked.or_else(retry_later)?,
        }
    }
}

/// What a sink is asked to do, again and again until it works.
enum Call<'a> {
    Recover(Option<&'a SinkState>),
    Write(&'a Emission),
    Prepare { last: bool },
    Commit,
    Finish,
}

impl Call<'_> {
    async fn on(&self, sink: &mut dyn Sink) -> Result<Prepared, SinkError> {
        match self {
            Self::Recover(state) => sink.recover(*state).await?,
            Self::Write(emission) => sink.write(emission).await?,
            Self::Prepare { last } => return sink.prepare(*last).await,
            Self::Commit => sink.commit().await?,
            Self::Finish => sink.finish().await?,
        }
        Ok(Prepared::default())
    }
}

/// Tries until it works or cannot: the query waits meanwhile, and nothing is lost. Only to prepare gives an answer.
async fn patiently(clock: &Arc<dyn Clock>, sink: &mut dyn Sink, call: Call<'_>) -> Result<Prepared, SinkError> {
    let mut pause = FIRST_RETRY;
    loop {
        match call.on(sink).await {
            Err(SinkError::Retry { sink, reason }) => {
                tracing::warn!(%sink, %reason, pause_ms = pause.0, "a sink cannot go on now; trying again");
                clock.sleep(pause).await;
                pause = Duration((pause.0 * 2).min(LONGEST_RETRY.0));
            }
            done => return done,
        }
    }
}

fn retry_later(error: SinkError) -> Result<(), SinkError> {
    match error {
        SinkError::Retry { sink, reason } => {
            tracing::warn!(%sink, %reason, "a sink could not roll; trying again at the next tick");
            Ok(())
        }
        fatal @ SinkError::Fatal { .. } => Err(fatal),
    }
}
