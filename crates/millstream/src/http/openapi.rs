//! `/openapi.json`: written by hand in `openapi.json`; a test holds it to the table of routes.

use axum::http::StatusCode;
use axum::response::Response;

use super::problem::json_response;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    json_response(StatusCode::OK, DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::ROUTES;
    use serde_json::Value;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let documented: BTreeSet<(String, String)> = (document["paths"].as_object().unwrap().iter())
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let kinesis = ("POST".to_owned(), "/".to_owned());
        let routed: BTreeSet<(String, String)> = (ROUTES.iter())
            .map(|route| (format!("{:?}", route.method).to_uppercase(), route.path.replace("{*", "{")))
            .chain([kinesis])
            .collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_parameter_of_a_path_is_described() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let in_path: BTreeSet<&str> = in_path.collect();
            for (method, operation) in item.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let described: BTreeSet<&str> = parameters
                    .filter(|parameter| parameter["in"] == "path")
                    .filter_map(|p| p["name"].as_str())
                    .collect();
                assert_eq!(described, in_path, "{method} {path}");
                assert!(operation["summary"].is_string() && operation["responses"].is_object(), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
