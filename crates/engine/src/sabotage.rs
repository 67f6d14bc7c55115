//! Orders that exact restarts rest on. The simulation breaks them, one at a time, to see that it would notice; outside
//! of tests nothing does.

/// What must come before what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The workers' answers come before a cut says how far it has come and what has been emitted.
    AnswersFirst,
    /// What a worker says behind its answer comes after the cut.
    HoldBack,
    /// Data comes before the manifest that names it.
    DataFirst,
    /// The manifest comes before the sink shows its rows.
    ManifestFirst,
}

#[cfg(not(test))]
pub(crate) const fn is_broken(_: Order) -> bool {
    false
}

#[cfg(test)]
pub(crate) fn is_broken(order: Order) -> bool {
    BROKEN.get() == Some(order)
}

#[cfg(test)]
thread_local! {
    /// What is broken on this thread: a simulation has only one.
    pub(crate) static BROKEN: std::cell::Cell<Option<Order>> = const { std::cell::Cell::new(None) };
}
