//! One query as SQL of two engines: Millstream's window functions, or tables in which rows have their windows already.

use super::expand::Window;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Millstream,
    Sqlite,
}

/// What must be there before a query can be asked, in order.
pub(super) enum Step {
    /// A statement as it is.
    View(String),
    /// A table `name` of the rows of `relation` with their windows.
    Expand { name: String, relation: String, time: &'static str, window: Window },
}

/// Renders one query, whose name makes those of its steps unique.
pub(super) struct Render {
    dialect: Dialect,
    query: String,
    pub(super) steps: Vec<Step>,
}

impl Render {
    pub(super) fn new(dialect: Dialect, query: &str) -> Self {
        Self { dialect, query: query.to_owned(), steps: Vec::new() }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn name(&self) -> String {
        format!("{}_{}", self.query, self.steps.len())
    }

    /// A subquery with a name.
    pub(super) fn view(&mut self, query: &str) -> String {
        let name = self.name();
        self.steps.push(Step::View(format!("CREATE VIEW {name} AS {query};")));
        name
    }

    /// A length of time.
    pub(super) fn interval(&self, millis: i64) -> String {
        match self.dialect {
            Dialect::Millstream => format!("INTERVAL '{millis} milliseconds'"),
            Dialect::Sqlite => millis.to_string(),
        }
    }

    /// The rows of a table or view in their windows.
    pub(super) fn windowed(&mut self, relation: &str, time: &'static str, window: Window) -> String {
        if self.dialect == Dialect::Sqlite {
            let name = self.name();
            self.steps.push(Step::Expand { name: name.clone(), relation: relation.to_owned(), time, window });
            return name;
        }
        let millis = |millis: i64| self.interval(millis);
        let offset = |offset: i64| if offset == 0 { String::new() } else { format!(", {}", millis(offset)) };
        let from = format!("TABLE {relation}, DESCRIPTOR({time})");
        let call = match window {
            Window::Tumble { size, offset: o } => format!("TUMBLE({from}, {}{})", millis(size), offset(o)),
            Window::Hop { slide, size, offset: o } => {
                format!("HOP({from}, {}, {}{})", millis(slide), millis(size), offset(o))
            }
            Window::Cumulate { step, max, offset: o } => {
                format!("CUMULATE({from}, {}, {}{})", millis(step), millis(max), offset(o))
            }
            Window::Session { gap, by_key } => {
                let keys = if by_key { " PARTITION BY k" } else { "" };
                format!("SESSION(TABLE {relation}{keys}, DESCRIPTOR({time}), {})", millis(gap))
            }
            Window::Day { zone } => format!("TUMBLE({from}, INTERVAL '1' DAY, TIMEZONE => '{zone}')"),
            Window::HopDays { days, zone } => {
                format!("HOP({from}, INTERVAL '1' DAY, INTERVAL '{days}' DAY, TIMEZONE => '{zone}')")
            }
            Window::CumulateDay { step, zone } => {
                format!("CUMULATE({from}, {}, INTERVAL '1' DAY, TIMEZONE => '{zone}')", millis(step))
            }
        };
        format!("TABLE({call})")
    }
}
