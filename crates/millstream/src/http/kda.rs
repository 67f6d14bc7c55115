//! `POST /api/v1/kda/applications`: an application of Kinesis Data Analytics for SQL, as AWS describes it, takes effect.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use millstream_kda::{Application, Problem as Wrong, Target};
use serde::Serialize;

use super::problem::{More, Part};
use super::sql::{Done, describe};
use super::{App, Problem};
use crate::tasks;

#[derive(Serialize)]
struct Created {
    results: Vec<Done>,
    /// What took effect: its lines are those that errors name.
    script: String,
    warnings: Vec<String>,
}

pub(super) async fn create(State(app): State<App>, body: Bytes) -> Result<Response, Problem> {
    let json = String::from_utf8(body.to_vec());
    let json = json.map_err(|error| Problem::bad_request(format!("the body is not UTF-8: {error}")))?;
    let application = Application::read(&json).map_err(|problems| refusal(&problems))?;
    // As `'connector' = 'kinesis'` of a table that names no place.
    let script = application.script(if app.has_aws { Target::Aws } else { Target::Embedded });
    tasks::blocking(move || {
        let outcomes = app.execute(script.text.clone()).map_err(|error| {
            let script = Some(script.text.clone());
            Problem::from(error).more(More { script, ..More::default() })
        })?;
        let results = outcomes.into_iter().map(|outcome| describe(&app, outcome)).collect::<Result<_, _>>()?;
        Ok(Json(Created { results, script: script.text, warnings: script.warnings }).into_response())
    })
    .await
}

/// All that is wrong with the description.
fn refusal(problems: &[Wrong]) -> Problem {
    let detail = match problems {
        [only] => only.to_string(),
        several => format!(
            "{} problems, the first: {}",
            several.len(),
            several.first().map_or_else(String::new, Wrong::to_string)
        ),
    };
    let part = |problem: &Wrong| Part { path: problem.path.clone(), detail: problem.message.clone() };
    Problem::bad_request(detail).more(More { problems: problems.iter().map(part).collect(), script: None })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::http::testing::TestService;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_problem_of_a_description_is_answered() {
        let service = TestService::open();
        let answer = service.ask("POST", "/api/v1/kda/applications", r#"{"Inputs": [], "ApplicationName": 1}"#).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (400, "application/problem+json"));
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        let paths: Vec<_> = problem["problems"].as_array().unwrap().iter().map(|part| &part["path"]).collect();
        assert_eq!(paths, ["$.ApplicationName", "$.ApplicationCode", "$"], "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().starts_with("3 problems, the first: $.ApplicationName: "),
            "{problem}"
        );
        let answer = service.ask("POST", "/api/v1/kda/applications", "Resources:").await;
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(problem["detail"].as_str().unwrap().starts_with("$: is no JSON: "), "{problem}");
    }
}
