//! A place in a description: a JSON value, the path to it, and where what is wrong with it is written down.

use std::cell::RefCell;

use serde_json::Value;

use crate::problem::Problem;
use crate::template::Template;

/// What all places of one description share.
#[derive(Default)]
pub(crate) struct Findings<'a> {
    /// What references of a template lead to; templates only.
    template: Option<Template<'a>>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<String>>,
}

/// A place. Reading from it never fails: what is missing or wrong is noted, and the reading goes on, so that everything
/// is found at once.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) path: String,
    findings: &'a Findings<'a>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(template: Option<Template<'a>>) -> Self {
        Self { template, ..Self::default() }
    }

    pub(crate) fn problem(&self, path: &str, message: impl Into<String>) {
        let problem = Problem { path: path.to_owned(), message: message.into() };
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    pub(crate) fn warning(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// What was found: problems, warnings.
    pub(crate) fn found(self) -> (Vec<Problem>, Vec<String>) {
        (self.problems.into_inner(), self.warnings.into_inner())
    }
}

impl<'a> Node<'a> {
    pub(crate) fn new(value: &'a Value, path: impl Into<String>, findings: &'a Findings<'a>) -> Self {
        Self { value, path: path.into(), findings }
    }

    pub(crate) fn problem(&self, message: impl Into<String>) {
        self.findings.problem(&self.path, message);
    }

    pub(crate) fn warning(&self, message: &str) {
        self.findings.warning(format!("{}: {message}", self.path));
    }

    /// The member, if it is there; null is not.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Self { value, path: member_path(&self.path, name), findings: self.findings })
    }

    /// The member of this name in a request, or in a reply, which calls it a description.
    pub(crate) fn described(&self, name: &str) -> Option<Self> {
        self.get(name).or_else(|| self.get(&format!("{name}Description")))
    }

    /// A member that has to be there.
    pub(crate) fn required(&self, name: &str, what_to_do: &str) -> Option<Self> {
        let found = self.described(name);
        if found.is_none() && self.value.is_object() {
            self.findings.problem(&member_path(&self.path, name), format!("is missing; {what_to_do}"));
        }
        found
    }

    /// Notes if this is no object, and which members of it mean nothing.
    pub(crate) fn expect_members(&self, known: &[&str]) {
        let Some(members) = self.value.as_object() else {
            return self.problem(format!("expected an object with {}", known.join(", ")));
        };
        for name in members.keys() {
            let plain = name.strip_suffix("Description").unwrap_or(name);
            if !known.contains(&plain) && !known.contains(&name.as_str()) {
                let message = format!("is unknown; known here are {}", known.join(", "));
                self.findings.problem(&member_path(&self.path, name), message);
            }
        }
    }

    /// The elements of an array.
    pub(crate) fn items(&self) -> Vec<Self> {
        let Some(items) = self.value.as_array() else {
            self.problem("expected an array");
            return Vec::new();
        };
        let item = |(at, value)| Self { value, path: format!("{}[{at}]", self.path), findings: self.findings };
        items.iter().enumerate().map(item).collect()
    }

    /// A text; in a template also what makes one.
    pub(crate) fn text(&self) -> Option<String> {
        if let Some(text) = self.value.as_str() {
            return Some(text.to_owned());
        }
        let Some(template) = self.findings.template.as_ref().filter(|_| self.value.is_object()) else {
            self.problem("expected a text in quotes");
            return None;
        };
        match template.text(self.value) {
            Ok(resolved) => {
                for name in resolved.guessed {
                    self.warning(&format!("`{name}` is only known to the stack; its name is taken instead"));
                }
                Some(resolved.text)
            }
            Err(message) => {
                self.problem(message);
                None
            }
        }
    }

    /// The text of a member that has to be there and not empty.
    pub(crate) fn required_text(&self, name: &str, what_to_do: &str) -> Option<(Self, String)> {
        let node = self.required(name, what_to_do)?;
        let text = node.text()?;
        if text.is_empty() {
            node.problem(format!("is empty; {what_to_do}"));
            return None;
        }
        Some((node, text))
    }
}

/// `$.Inputs`, or `$['Fn::Sub']` where the name is no word.
pub(crate) fn member_path(path: &str, name: &str) -> String {
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word { format!("{path}.{name}") } else { format!("{path}['{name}']") }
}
