//! The example queries, embedded in the binary for `demo`: the `query.sql` of each topic.

use rust_embed::Embed;

use crate::scripts::Scripts;

#[derive(Embed)]
#[folder = "../../queries"]
#[include = "*/query.sql"]
#[allow_missing = true]
struct Examples;

/// Adds every example, in path order.
pub(crate) fn add_to(scripts: &mut Scripts) {
    let mut names: Vec<_> = Examples::iter().collect();
    names.sort();
    for name in names {
        if let Some(file) = Examples::get(&name) {
            scripts.add(format!("queries/{name}"), String::from_utf8_lossy(&file.data).into_owned(), false);
        }
    }
}
