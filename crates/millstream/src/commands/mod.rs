//! What each command does.

mod aws;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod import_kcl;
pub(crate) mod kda;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod streams;
pub(crate) mod test;
