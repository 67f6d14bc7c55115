//! Who may do what: bearer tokens with roles, and keys that requests of the Kinesis API are signed with. Without tokens
//! everybody may do everything, but for the Kinesis API where there are keys.

use std::str::FromStr;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use millstream_local_kinesis::{AccessKey, Admitted};
use serde::Deserialize;

use super::{App, Problem};
use crate::callers::{AwsKey, Token};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Puts records, over HTTP and the Kinesis API.
    Producer,
    /// Reads everything and runs SELECT.
    Analyst,
    /// Everything.
    Admin,
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing: it tells nothing of the data.
    Open,
    Read,
    Produce,
    Kinesis,
    /// Defines, stops or deletes.
    Change,
}

/// The tokens and keys that are known.
#[derive(Clone, Default)]
pub(crate) struct Auth {
    tokens: Vec<Token>,
    aws_keys: Vec<AwsKey>,
}

/// What [`check`] needs of a route.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) app: App,
    pub(super) access: Access,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "producer" => Ok(Self::Producer),
            "analyst" => Ok(Self::Analyst),
            "admin" => Ok(Self::Admin),
            other => Err(format!("`{other}` is no role; there are producer, analyst and admin")),
        }
    }
}

impl Role {
    fn allows(self, access: Access) -> bool {
        match access {
            Access::Open => true,
            Access::Read => matches!(self, Self::Analyst | Self::Admin),
            Access::Produce | Access::Kinesis => matches!(self, Self::Producer | Self::Admin),
            Access::Change => self == Self::Admin,
        }
    }

    /// Refuses what only an admin may do.
    pub(super) fn require_admin(self, what: &str) -> Result<(), Problem> {
        if self == Self::Admin { Ok(()) } else { Err(forbidden(format!("{what} takes a token with the role admin"))) }
    }
}

impl Auth {
    pub(crate) fn new(tokens: Vec<Token>, aws_keys: Vec<AwsKey>) -> Self {
        Self { tokens, aws_keys }
    }

    /// The keys, as the Kinesis API takes them.
    pub(super) fn access_keys(&self) -> Vec<AccessKey> {
        let key = |key: &AwsKey| AccessKey {
            id: key.id.clone(),
            secret: key.secret.clone(),
            may_use_streams: key.role.allows(Access::Kinesis),
        };
        self.aws_keys.iter().map(key).collect()
    }

    /// Whether it is for the Kinesis API to look at the signature: no token lets the request in.
    fn asks_for_signature(&self, headers: &HeaderMap) -> bool {
        !self.aws_keys.is_empty() && (self.tokens.is_empty() || self.role_of(headers).is_none())
    }

    /// The caller's role; everybody is admin where there are no tokens.
    fn role_of(&self, headers: &HeaderMap) -> Option<Role> {
        if self.tokens.is_empty() {
            return Some(Role::Admin);
        }
        let (scheme, given) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let given = given.trim();
        // Every token is looked at, whichever fits: time must not tell which begins alike.
        let role = self.tokens.iter().fold(None, |found, token| {
            let fits = is_same(&token.token, given);
            if fits { Some(token.role) } else { found }
        });
        role.filter(|_| scheme.eq_ignore_ascii_case("bearer"))
    }
}

/// Lets a request through to its route, with its [`Role`], or refuses it.
pub(super) async fn check(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if guard.access == Access::Kinesis && guard.app.auth.asks_for_signature(request.headers()) {
        return next.run(request).await;
    }
    let role = guard.app.auth.role_of(request.headers());
    let refused = match role {
        _ if guard.access == Access::Open => None,
        None => Some(
            Problem::new(StatusCode::UNAUTHORIZED, "Not allowed", "a bearer token is needed")
                .hint("send Authorization: Bearer <token>, with a token of [auth] in the configuration"),
        ),
        Some(role) if role.allows(guard.access) => None,
        Some(role) => Some(forbidden(format!("the token's role is {role:?}, which may not do this").to_lowercase())),
    };
    match refused {
        None => {
            request.extensions_mut().insert(role.unwrap_or(Role::Admin));
            request.extensions_mut().insert(Admitted);
            next.run(request).await
        }
        Some(problem) if guard.access == Access::Kinesis => kinesis_refusal(&problem),
        Some(problem) => problem.into_response(),
    }
}

fn forbidden(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "Not allowed", detail)
}

/// As AWS's SDKs read it.
fn kinesis_refusal(problem: &Problem) -> Response {
    let message = "this service takes bearer tokens: send Authorization: Bearer <token> of a producer, or configure \
                   [auth.aws_keys] and sign with one of them";
    let body = serde_json::json!({ "__type": "AccessDeniedException", "message": message }).to_string();
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amzn-errortype", "AccessDeniedException")];
    (problem.status, headers, body).into_response()
}

/// Compares without stopping at the first difference.
fn is_same(known: &str, given: &str) -> bool {
    let difference = known.bytes().zip(given.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
    difference == 0 && known.len() == given.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::TestService;

    fn token(token: &str, role: Role) -> Token {
        Token { token: token.to_owned(), role }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn roles_may_do_what_is_theirs() {
        let tokens = vec![token("p", Role::Producer), token("a", Role::Analyst), token("x", Role::Admin)];
        let service = TestService::with_auth(Auth::new(tokens, Vec::new()));
        service.store().create_stream(millstream_local_kinesis::NewStream::new("s", 1)).await.unwrap();
        let create = "CREATE VIEW v AS SELECT 1 AS one";
        for (method, path, body, by_nobody, by_producer, by_analyst, by_admin) in [
            ("GET", "/health", "", 200, 200, 200, 200),
            ("GET", "/", "", 200, 200, 200, 200),
            ("GET", "/openapi.json", "", 200, 200, 200, 200),
            ("GET", "/metrics", "", 401, 403, 200, 200),
            ("GET", "/api/v1/tables", "", 401, 403, 200, 200),
            ("GET", "/api/v1/streams/s/sample", "", 401, 403, 200, 200),
            ("POST", "/api/v1/streams/s/records", "{}", 401, 200, 403, 200),
            ("POST", "/api/v1/sql", "SELECT 1 AS one", 401, 403, 200, 200),
            ("POST", "/api/v1/sql", create, 401, 403, 403, 200),
            ("POST", "/api/v1/sql", "SELECT 1; DROP VIEW v", 401, 403, 403, 200),
            ("POST", "/api/v1/sql/check", create, 401, 403, 200, 200),
            ("POST", "/api/v1/kda/applications", "{}", 401, 403, 403, 400),
            ("POST", "/api/v1/queries/none/pause", "", 401, 403, 403, 404),
            ("DELETE", "/api/v1/streams/s", "", 401, 403, 403, 204),
            // Past the guard, the Kinesis API says what it misses.
            ("POST", "/", "{}", 401, 415, 403, 415),
        ] {
            for (bearer, expected) in
                [("", by_nobody), ("wrong", by_nobody), ("p", by_producer), ("a", by_analyst), ("x", by_admin)]
            {
                let answer = service.ask_as(bearer, method, path, body).await;
                assert_eq!(answer.status, expected, "{method} {path} as {bearer}: {}", answer.body);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn where_there_are_aws_keys_the_kinesis_api_takes_signatures_and_tokens() {
        let key = AwsKey { id: "AK".to_owned(), secret: "s".to_owned(), role: Role::Producer };
        let list = [("x-amz-target", "Kinesis_20131202.ListStreams"), ("content-type", "application/x-amz-json-1.1")];
        for (tokens, bearer, status, said) in [
            (vec![token("p", Role::Producer)], "p", 200, "StreamNames"),
            (vec![token("a", Role::Analyst)], "a", 403, "AccessDeniedException"),
            (vec![token("p", Role::Producer)], "wrong", 400, "MissingAuthenticationTokenException"),
            (Vec::new(), "p", 400, "MissingAuthenticationTokenException"),
        ] {
            let service = TestService::with_auth(Auth::new(tokens, vec![key.clone()]));
            let bearer = format!("Bearer {bearer}");
            let headers = [list[0], list[1], ("authorization", bearer.as_str())];
            let answer = service.send("POST", "/", &headers, "{}").await;
            assert_eq!(answer.status, status, "{bearer}: {}", answer.body);
            assert!(answer.body.contains(said), "{bearer}: {}", answer.body);
            let unsigned = service.send("POST", "/", &list, "{}").await;
            assert_eq!(unsigned.status, 400, "{}", unsigned.body);
        }
    }

    #[test]
    fn tokens_are_compared_whole() {
        for (known, given, same) in
            [("abc", "abc", true), ("abc", "ab", false), ("ab", "abc", false), ("abc", "abd", false)]
        {
            assert_eq!(is_same(known, given), same);
        }
    }
}
