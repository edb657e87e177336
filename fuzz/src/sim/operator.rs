//! The operator: asks what there is, and sends people away.

use std::collections::VecDeque;

use serde_json::Value;

use super::draw::{Draw, Stream};
use super::network::Word;
use super::reader::percent_encoded;
use super::scenario::{Action, Fault, Step};
use super::scene::Scene;
use super::tokens::{Grant, Wish};
use super::tuning::{API_KEYS, ORIGINS};
use super::wishes;
use crate::http::{Responses, request};
use crate::model::LinkId;

/// Seconds that no clock is ahead.
const BEYOND_JUMPS_S: i64 = 100 * 24 * 3600;

/// Pages of history that are read behind one another.
const PAGES_MAX: u32 = 20;

#[derive(Clone, Debug)]
struct Page {
    query: String,
    authorization: String,
    left: u32,
}

/// The operator.
#[derive(Debug)]
pub(crate) struct Operator {
    actor: u16,
    draw: Draw<'static>,
    connection: Option<(LinkId, Responses)>,
    /// Of each question without an answer: where it asks for a page of history, what for and as whom.
    asked: VecDeque<Option<Page>>,
    /// Names of connections that were listed.
    connections: Vec<String>,
}

impl Operator {
    pub(crate) fn new(scene: &Scene<'_>, actor: u16) -> Self {
        Self {
            actor,
            draw: Draw::new(scene.seed, Stream::Actor, u64::from(actor)),
            connection: None,
            asked: VecDeque::new(),
            connections: Vec::new(),
        }
    }

    pub(crate) fn link(&self) -> Option<LinkId> {
        self.connection.as_ref().map(|(link, _)| *link)
    }

    pub(crate) fn act(&mut self, scene: &mut Scene<'_>, step: &Step) {
        let mut draw = Draw::new(scene.seed, Stream::Step, u64::from(step.key));
        let (method, target) = match step.action {
            Action::Disconnect => ("DELETE", self.disconnect(scene, &mut draw)),
            _ if draw.chance(50) => ("OPTIONS", "/v1/events".to_owned()),
            _ => ("GET", Self::question(scene, &mut draw)),
        };
        // Whose grant is narrower reads less.
        let page = target.strip_prefix("/v1/events?").and_then(|query| query.split("&after=").next());
        let page = page.map(str::to_owned);
        let grant = if page.is_some() && draw.chance(500) { Grant::draw(&mut draw) } else { Grant::Admin };
        let presented = if draw.chance(300) {
            API_KEYS[0].1.to_owned()
        } else {
            let wish = Wish {
                user: "root",
                grant,
                key: scene.signing_key(),
                issued_at: scene.true_now().unix.as_secs(),
                lasts: 3_600,
            };
            scene.tokens.sign(&mut scene.model, &wish)
        };
        let link = match self.link() {
            Some(link) if draw.chance(700) => link,
            old => {
                if let Some(old) = old {
                    scene.hang_up(old);
                }
                self.asked.clear();
                let host = scene.place(&mut self.draw);
                let link = scene.open(self.actor, host, 0, false);
                self.connection = Some((link, Responses::default()));
                link
            }
        };
        let authorization = format!("Bearer {presented}");
        scene.trace(format_args!("{link:?} asks {method} {target}"));
        let mut headers = vec![("Authorization", &*authorization)];
        if method == "OPTIONS" || draw.chance(200) {
            headers.push(("Origin", *draw.pick(&ORIGINS)));
        }
        if method == "OPTIONS" {
            headers.push(("Access-Control-Request-Method", "POST"));
        }
        scene.send(link, &request(method, &target, &headers, b""));
        self.asked.push_back(page.map(|query| Page { query, authorization, left: PAGES_MAX }));
    }

    /// Goes on to the next page.
    fn turn_page(&mut self, scene: &mut Scene<'_>, link: LinkId, page: Page, next: &Value) {
        let target = format!("/v1/events?{}&after={next}", page.query);
        scene.trace(format_args!("{link:?} turns to {target}"));
        scene.send(link, &request("GET", &target, &[("Authorization", &page.authorization)], b""));
        self.asked.push_back(Some(Page { left: page.left - 1, ..page }));
    }

    fn disconnect(&self, scene: &mut Scene<'_>, draw: &mut Draw<'_>) -> String {
        scene.count(Fault::Disconnect);
        let user = format!("u{}", draw.below(u64::from(scene.settings.users)));
        if !self.connections.is_empty() && draw.chance(500) {
            return format!("/v1/connections?connection={}", draw.pick(&self.connections));
        }
        if draw.chance(400) {
            // Later tokens are good: they are issued as if they were made after the revocation.
            // Clocks may jump before a hub hears of it: later tokens are issued beyond all that they can jump.
            let later = scene.true_now().unix.as_secs() + BEYOND_JUMPS_S;
            scene.tokens.revoke(&user, later);
            scene.model.revoking(&user, later - 1);
            return format!("/v1/connections?user={user}&revoke=true");
        }
        format!("/v1/connections?user={user}")
    }

    fn question(scene: &Scene<'_>, draw: &mut Draw<'_>) -> String {
        match draw.below(8) {
            0 => "/v1/stats".to_owned(),
            1 => "/metrics".to_owned(),
            2 => "/v1/connections".to_owned(),
            3 => "/readyz".to_owned(),
            4 => "/v1/no-such".to_owned(),
            5 if draw.chance(100) => "/v1/schema".to_owned(),
            _ => {
                let mut target = format!(
                    "/v1/events?events={}&limit={}",
                    wishes::patterns(draw).join(","),
                    draw.scaled(1, 10)
                );
                let filter = wishes::filter(draw, scene.settings.filters);
                if !filter.is_null() {
                    target += &format!("&filter={}", percent_encoded(&filter.to_string()));
                }
                if draw.chance(500) {
                    target += &format!("&after={}", draw.scaled(0, 60));
                }
                target
            }
        }
    }

    pub(crate) fn calm(&mut self, scene: &mut Scene<'_>) {
        if let Some((link, _)) = self.connection.take() {
            scene.hang_up(link);
        }
    }

    pub(crate) fn received(&mut self, scene: &mut Scene<'_>, link: LinkId, bytes: &[u8]) {
        let Some((_, responses)) = self.connection.as_mut().filter(|(own, _)| *own == link) else { return };
        responses.receive(bytes);
        while let Some((_, responses)) = &mut self.connection
            && let Some(response) = responses.next()
        {
            scene.trace(format_args!("{link:?} is answered {}", response.status));
            let json = response.json();
            if let Some(Some(page)) = self.asked.pop_front()
                && 0 < page.left
                && json["events"].as_array().is_some_and(|events| !events.is_empty())
            {
                self.turn_page(scene, link, page, &json["next"]);
            }
            if let Some(listed) = json["connections"].as_array() {
                let names = listed.iter().filter_map(|one| one["connection"].as_str().or(one["id"].as_str()));
                self.connections = names.map(str::to_owned).collect();
            }
        }
    }

    pub(crate) fn heard(&mut self, scene: &mut Scene<'_>, link: LinkId, _word: Word) {
        if self.connection.take_if(|(own, _)| *own == link).is_some() {
            scene.hang_up(link);
        }
    }
}
