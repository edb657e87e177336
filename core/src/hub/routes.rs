//! The table of paths and methods, and for each who may ask.

use crate::input::Listener;
use crate::wire::http::Method;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST /v1/events`
    Publish,
    /// `GET /v1/events`
    Page,
    /// `GET /v1/stream`
    Stream,
    /// `GET /v1/stats`
    Stats,
    /// `GET /v1/connections`
    Connections,
    /// `DELETE /v1/connections`
    Disconnect,
    /// `GET /v1/schema`
    Schema,
    /// `GET /healthz`
    Health,
    /// `GET /readyz`
    Ready,
    /// `GET /metrics`
    Metrics,
    /// `GET /`, the live page
    LivePage,
    /// `GET /` and `GET /ws` where only an upgrade makes sense
    UpgradeOnly,
    /// `OPTIONS`
    Options(&'static str),
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    /// No such path.
    Path,
    /// Not with this method; these are.
    Method(&'static str),
}

/// The route of a request, by the listener that took it.
pub(super) fn find(path: &str, method: Method, listener: Listener, page: bool) -> Result<Route, NotFound> {
    let public = listener != Listener::Operators;
    let operators = listener != Listener::Public;
    let (allow, routes): (&'static str, &[(Method, Route)]) = match path {
        "/" if public && page => ("GET, HEAD, OPTIONS", &[(Method::Get, Route::LivePage)]),
        "/" | "/ws" if public => ("GET, HEAD, OPTIONS", &[(Method::Get, Route::UpgradeOnly)]),
        "/v1/events" if public => {
            ("GET, HEAD, POST, OPTIONS", &[(Method::Get, Route::Page), (Method::Post, Route::Publish)])
        }
        "/v1/stream" if public => ("GET, HEAD, OPTIONS", &[(Method::Get, Route::Stream)]),
        "/v1/schema" if public => ("GET, HEAD, OPTIONS", &[(Method::Get, Route::Schema)]),
        "/v1/stats" if operators => ("GET, HEAD, OPTIONS", &[(Method::Get, Route::Stats)]),
        "/v1/connections" if operators => (
            "GET, HEAD, DELETE, OPTIONS",
            &[(Method::Get, Route::Connections), (Method::Delete, Route::Disconnect)],
        ),
        "/metrics" if operators => ("GET, HEAD, OPTIONS", &[(Method::Get, Route::Metrics)]),
        "/healthz" => ("GET, HEAD, OPTIONS", &[(Method::Get, Route::Health)]),
        "/readyz" => ("GET, HEAD, OPTIONS", &[(Method::Get, Route::Ready)]),
        _ => return Err(NotFound::Path),
    };
    if method == Method::Options {
        return Ok(Route::Options(allow));
    }
    let asked = if method == Method::Head { Method::Get } else { method };
    let found = routes.iter().find(|(method, _)| *method == asked);
    found.map(|(_, route)| *route).ok_or(NotFound::Method(allow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_method_is_told_which_are_right() {
        assert_eq!(find("/v1/events", Method::Get, Listener::All, false), Ok(Route::Page));
        assert_eq!(find("/v1/events", Method::Head, Listener::All, false), Ok(Route::Page));
        let wrong = find("/v1/events", Method::Delete, Listener::All, false);
        assert_eq!(wrong, Err(NotFound::Method("GET, HEAD, POST, OPTIONS")));
        assert_eq!(find("/v1/nothing", Method::Get, Listener::All, false), Err(NotFound::Path));
    }

    #[test]
    fn what_is_for_operators_moves_to_their_listener() {
        for path in ["/v1/stats", "/v1/connections", "/metrics"] {
            assert_eq!(find(path, Method::Get, Listener::Public, true), Err(NotFound::Path));
            assert!(find(path, Method::Get, Listener::Operators, true).is_ok());
        }
        assert_eq!(find("/v1/events", Method::Post, Listener::Operators, true), Err(NotFound::Path));
        assert!(find("/healthz", Method::Get, Listener::Operators, true).is_ok());
        assert!(find("/healthz", Method::Get, Listener::Public, true).is_ok());
    }
}
