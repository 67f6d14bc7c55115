//! A whole service in a temporary folder, asked without a socket: for this crate's tests.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use millstream_connectors::AwsSettings;
use millstream_core::Duration;
use millstream_local_kinesis::Store;
use tower::ServiceExt as _;

use super::{App, Auth, router};
use crate::clock::SystemClock;
use crate::config::CheckpointConfig;
use crate::service::{Service, ServiceSettings};

pub(crate) struct TestService {
    pub(crate) app: App,
    router: Router,
    _folder: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl TestService {
    pub(crate) fn open() -> Self {
        Self::with_auth(Auth::default())
    }

    pub(crate) fn with_auth(auth: Auth) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let checkpoints =
            CheckpointConfig { dir: None, shared_dir: None, interval: Duration::from_secs(1), retained: 3 };
        let settings = ServiceSettings {
            data,
            workers: 1,
            memory_limit: 1 << 30,
            aws: AwsSettings::default(),
            checkpoints,
            auth,
            enforce_limits: false,
        };
        let app = Service::open(settings, Arc::new(SystemClock)).unwrap();
        Self { router: router(&app), app, _folder: folder }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.app.store
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, path, &[], body).await
    }

    pub(crate) async fn ask_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        self.send(method, path, if token.is_empty() { &[] } else { &headers }, body).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status, content_type: content_type.unwrap_or_default(), body }
    }
}
