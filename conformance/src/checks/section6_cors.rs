//! §6 CORS: allowed origins are told so, preflight included; others are told nothing.

use crate::events::sample;
use crate::http::{Request, Response};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, ensure, same};
use crate::runner::table;

table! { 6:
    preflight_of_an_allowed_origin_is_answered
    preflight_of_another_origin_is_told_nothing
    answer_to_an_allowed_origin_names_it
    errors_are_readable_by_an_allowed_origin
    stream_is_readable_by_an_allowed_origin
}

const ALLOWED: &str = "https://app.example";

async fn server(t: &Context) -> Outcome<Server> {
    t.with("origins = [\"https://app.example\"]\n").await
}

fn preflight(origin: &str, method: &str) -> Request {
    Request::new("OPTIONS", "/v1/events")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", "authorization, content-type")
}

fn names(response: &Response, name: &str, value: &str) -> bool {
    let found = response.header(name).unwrap_or_default().to_ascii_lowercase();
    found.split(',').any(|one| one.trim() == value || one.trim() == "*")
}

fn allows(response: &Response, origin: &str) -> bool {
    response.header("access-control-allow-origin").is_some_and(|found| found == origin || found == "*")
}

async fn preflight_of_an_allowed_origin_is_answered(t: Context) -> Outcome {
    let server = server(&t).await?;
    for method in ["POST", "GET"] {
        let response = preflight(ALLOWED, method).send(&server).await?;
        ensure!([200, 204].contains(&response.status), "status {}", response.status);
        ensure!(allows(&response, ALLOWED), "headers {:?}", response.headers);
        ensure!(
            names(&response, "access-control-allow-methods", &method.to_ascii_lowercase()),
            "{:?}",
            response.headers
        );
        for header in ["authorization", "content-type"] {
            ensure!(names(&response, "access-control-allow-headers", header), "{:?}", response.headers);
        }
    }
    Ok(())
}

async fn preflight_of_another_origin_is_told_nothing(t: Context) -> Outcome {
    let server = server(&t).await?;
    for origin in ["https://evil.example", "http://app.example", "null"] {
        let response = preflight(origin, "POST").send(&server).await?;
        ensure!(!allows(&response, origin), "{origin} is allowed: {:?}", response.headers);
    }
    Ok(())
}

async fn answer_to_an_allowed_origin_names_it(t: Context) -> Outcome {
    let server = server(&t).await?;
    let request = Request::publish(&sample("user.login")).bearer(&server.api_key).header("Origin", ALLOWED);
    let response = request.send(&server).await?;
    response.success()?;
    ensure!(allows(&response, ALLOWED), "headers {:?}", response.headers);
    if response.header("access-control-allow-origin") != Some("*") {
        ensure!(names(&response, "vary", "origin"), "Vary is {:?}", response.header("vary"));
    }
    let request = Request::get("/v1/schema").header("Origin", "https://evil.example");
    let response = request.send(&server).await?;
    ensure!(!allows(&response, "https://evil.example"), "headers {:?}", response.headers);
    Ok(())
}

async fn errors_are_readable_by_an_allowed_origin(t: Context) -> Outcome {
    let server = server(&t).await?;
    let response = Request::publish(&sample("user.login")).header("Origin", ALLOWED).send(&server).await?;
    same!(response.status, 401, "status");
    ensure!(allows(&response, ALLOWED), "headers {:?}", response.headers);
    Ok(())
}

async fn stream_is_readable_by_an_allowed_origin(t: Context) -> Outcome {
    let server = server(&t).await?;
    let request = Request::get("/v1/stream?events=*").bearer(&server.full_token()?).header("Origin", ALLOWED);
    let mut connection = crate::http::Connection::open(&server).await?;
    connection.send(&request.encode(&server)).await?;
    let head = connection.head().await?;
    same!(head.status, 200, "status");
    ensure!(allows(&head, ALLOWED), "headers {:?}", head.headers);
    Ok(())
}
