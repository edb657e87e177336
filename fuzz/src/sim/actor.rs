//! Everyone who is at the other end of a connection.

use super::app::App;
use super::network::Word;
use super::operator::Operator;
use super::publisher::Publisher;
use super::raw::Raw;
use super::reader::Reader;
use super::scenario::{Population, Step, Who};
use super::scene::Scene;
use crate::model::LinkId;

/// One of them.
#[derive(Debug)]
pub(crate) enum Actor {
    App(Box<App>),
    Reader(Box<Reader>),
    Publisher(Box<Publisher>),
    Raw(Box<Raw>),
    Operator(Box<Operator>),
}

/// How many there are.
pub(crate) fn count(population: Population) -> usize {
    let Population { apps, readers, publishers, raws } = population;
    [apps, readers, publishers, raws, 1].into_iter().map(usize::from).sum()
}

/// All of them, each at the place that [`place`] says.
pub(crate) fn all(scene: &Scene<'_>) -> Vec<Actor> {
    let Population { apps, readers, publishers, raws } = scene.settings.population;
    let place = |who| place(scene.settings.population, who).unwrap_or(0);
    let apps = (0..apps).map(|n| Actor::App(Box::new(App::new(scene, place(Who::App(n)), n))));
    let readers = (0..readers).map(|n| Actor::Reader(Box::new(Reader::new(scene, place(Who::Reader(n)), n))));
    let publishers = (0..publishers)
        .map(|n| Actor::Publisher(Box::new(Publisher::new(scene, place(Who::Publisher(n)), n))));
    let raws = (0..raws).map(|n| Actor::Raw(Box::new(Raw::new(scene, place(Who::Raw(n)), n))));
    let operator = Actor::Operator(Box::new(Operator::new(scene, place(Who::Operator))));
    apps.chain(readers).chain(publishers).chain(raws).chain([operator]).collect()
}

/// Where someone stands among all; none where there are fewer.
pub(crate) fn place(population: Population, who: Who) -> Option<u16> {
    let Population { apps, readers, publishers, raws } = population;
    let (number, of, before) = match who {
        Who::App(number) => (number, apps, 0),
        Who::Reader(number) => (number, readers, apps),
        Who::Publisher(number) => (number, publishers, apps + readers),
        Who::Raw(number) => (number, raws, apps + readers + publishers),
        Who::Operator => (0, 1, apps + readers + publishers + raws),
    };
    (number < of).then_some(before + number)
}

impl Actor {
    /// Does a step of the scenario.
    pub(crate) fn act(&mut self, scene: &mut Scene<'_>, step: &Step) {
        match self {
            Self::App(app) => app.act(scene, step),
            Self::Reader(reader) => reader.act(scene, step),
            Self::Publisher(publisher) => publisher.act(scene, step),
            Self::Raw(raw) => raw.act(scene, step),
            Self::Operator(operator) => operator.act(scene, step),
        }
    }

    /// The connection at hand.
    pub(crate) fn link(&self) -> Option<LinkId> {
        match self {
            Self::App(app) => app.link(),
            Self::Reader(reader) => reader.link(),
            Self::Publisher(publisher) => publisher.link(),
            Self::Raw(raw) => raw.link(),
            Self::Operator(operator) => operator.link(),
        }
    }

    pub(crate) fn received(&mut self, scene: &mut Scene<'_>, link: LinkId, bytes: &[u8]) {
        match self {
            Self::App(app) => app.received(scene, link, bytes),
            Self::Reader(reader) => reader.received(scene, link, bytes),
            Self::Publisher(publisher) => publisher.received(scene, link, bytes),
            Self::Raw(raw) => raw.received(scene, link, bytes),
            Self::Operator(operator) => operator.received(scene, link, bytes),
        }
    }

    pub(crate) fn heard(&mut self, scene: &mut Scene<'_>, link: LinkId, word: Word) {
        match self {
            Self::App(app) => app.heard(scene, link, word),
            Self::Reader(reader) => reader.heard(scene, link, word),
            Self::Publisher(publisher) => publisher.heard(scene, link, word),
            Self::Raw(raw) => raw.heard(scene, link, word),
            Self::Operator(operator) => operator.heard(scene, link, word),
        }
    }

    pub(crate) fn woken(&mut self, scene: &mut Scene<'_>) {
        match self {
            Self::App(app) => app.woken(scene),
            Self::Reader(reader) => reader.woken(scene),
            Self::Publisher(publisher) => publisher.woken(scene),
            Self::Raw(raw) => raw.woken(scene),
            Self::Operator(_) => {}
        }
    }

    /// The faults have stopped.
    pub(crate) fn calm(&mut self, scene: &mut Scene<'_>) {
        match self {
            Self::App(app) => app.calm(scene),
            Self::Reader(reader) => reader.calm(scene),
            Self::Publisher(publisher) => publisher.calm(scene),
            Self::Raw(raw) => raw.calm(scene),
            Self::Operator(operator) => operator.calm(scene),
        }
    }

    /// Why this one does not have everything, where it does not.
    pub(crate) fn lacks(&self) -> Option<String> {
        match self {
            Self::App(app) => app.lacks(),
            Self::Reader(reader) => reader.lacks(),
            Self::Publisher(publisher) => publisher.lacks(),
            Self::Raw(_) | Self::Operator(_) => None,
        }
    }
}
