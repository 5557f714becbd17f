//! One moment of a schedule: what is shared, where each request stands, what may happen next.
//!
//! Must never do anything that was not chosen: the same choices lead to the same moment, but for random bits.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use exeunt::auth::Extend;
use exeunt::{ManualClock, Sessions};

use crate::desk::{Desk, Step};
use crate::facts::{BYSTANDER, Broken, EVERYWHERE, Facts, LIMIT};
use crate::people::{People, anna, ben};
use crate::requests::{Op, Request, request, resume};
use crate::setup::{self, Setup, TICK, at_once, sessions};
use crate::store::{Fault, Kind, StepStore};

/// What may happen next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// A request comes.
    Begin(usize),
    /// A request's next step is taken, and it goes on to the one after.
    Step(usize),
    /// The connection of a request is lost, and its handler dropped.
    Drop(usize),
    /// A process ends with all that is under way in it.
    Crash(usize),
    /// A step takes effect whose request is not there any more, or did not wait for it.
    Late(usize),
    /// Time passes.
    Tick,
}

/// How much may go wrong in one schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
}

/// One thing to explore.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) fault: Fault,
    pub(crate) ops: &'a [Op],
    pub(crate) bounds: Bounds,
}

enum Stands {
    NotBegun,
    At { request: Request, step: Step, history: u64, detached: bool },
    Over,
}

pub(crate) struct World<'a> {
    case: Case<'a>,
    desk: Desk,
    clock: Arc<ManualClock>,
    probe: Sessions,
    requests: Vec<(Op, Stands)>,
    late: Vec<(u64, Step)>,
    left: Bounds,
    facts: Facts,
}

impl<'a> World<'a> {
    pub(crate) fn new(case: Case<'a>) -> Self {
        let (desk, clock) = case.setup.begin();
        let (kind, fault) = (case.setup.kind, Fault::None);
        let probe = StepStore { desk: desk.clone(), kind, fault, by: u8::MAX };
        let probe = sessions(probe, &clock);
        let requests = case.ops.iter().map(|op| (*op, Stands::NotBegun)).collect();
        let (late, left, facts) = (Vec::new(), case.bounds, Facts::new(case.setup, case.ops));
        Self { case, desk, clock, probe, requests, late, left, facts }
    }

    fn kind(&self) -> Kind {
        self.case.setup.kind
    }

    /// All that may happen next; nothing once all is over.
    pub(crate) fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        let mut busy = Vec::new();
        let mut open = false;
        for (index, (_, stands)) in self.requests.iter().enumerate() {
            open |= !matches!(stands, Stands::Over);
            match stands {
                Stands::NotBegun => choices.push(Choice::Begin(index)),
                Stands::At { detached, .. } => {
                    choices.push(Choice::Step(index));
                    busy.push(self.node(index));
                    if self.left.faults > 0 && !detached {
                        choices.push(Choice::Drop(index));
                    }
                }
                Stands::Over => {}
            }
        }
        choices.extend((0..self.late.len()).map(Choice::Late));
        if self.left.faults > 0 && self.kind() != Kind::Memory {
            choices.extend([0, 1].into_iter().filter(|node| busy.contains(node)).map(Choice::Crash));
        }
        if self.left.ticks > 0 && open {
            choices.push(Choice::Tick);
        }
        choices
    }

    /// A process owns what it keeps in itself; over what others keep there are two.
    fn node(&self, index: usize) -> usize {
        if matches!(self.kind(), Kind::Memory | Kind::Sqlite) { 0 } else { index % 2 }
    }

    /// What a choice is, in words.
    pub(crate) fn told(&self, choice: Choice) -> String {
        let at = |index: usize| match &self.requests[index] {
            (op, Stands::At { step, .. }) => format!("{index} {op:?} before {}", step.name),
            (op, _) => format!("{index} {op:?}"),
        };
        match choice {
            Choice::Begin(index) => format!("{} begins", at(index)),
            Choice::Step(index) => at(index).replace(" before", ":"),
            Choice::Drop(index) => format!("{} is dropped", at(index)),
            Choice::Crash(node) => format!("node {node} crashes"),
            Choice::Late(index) => format!("late: {}", self.late[index].1.name),
            Choice::Tick => "time passes".to_owned(),
        }
    }

    pub(crate) fn take(&mut self, choice: Choice) -> Result<(), Broken> {
        match choice {
            Choice::Begin(index) => self.begin(index),
            Choice::Step(index) => self.step(index),
            Choice::Drop(index) => {
                self.left.faults -= 1;
                self.lose(index, self.kind() != Kind::Memory);
                Ok(())
            }
            Choice::Crash(node) => {
                self.left.faults -= 1;
                for index in 0..self.requests.len() {
                    if self.node(index) == node {
                        self.lose(index, self.kind() != Kind::Sqlite);
                    }
                }
                if self.kind() == Kind::Sqlite {
                    self.late.clear();
                }
                Ok(())
            }
            Choice::Late(index) => {
                let (_, step) = self.late.swap_remove(index);
                step.take(&mut self.desk.open().shared);
                Ok(())
            }
            Choice::Tick => {
                self.left.ticks -= 1;
                self.clock.advance(TICK);
                Ok(())
            }
        }
    }

    fn begin(&mut self, index: usize) -> Result<(), Broken> {
        let by = u8::try_from(index).expect("there are few requests");
        let (kind, fault, desk) = (self.kind(), self.case.fault, self.desk.clone());
        let (op, _) = self.requests[index];
        let bens = self.facts.given.iter().find(|given| given.user == ben());
        self.facts.began(by, op, bens.expect("Ben has a session").token.id());
        let people = People { desk, kind, fault, checked: Arc::default() };
        let sessions = sessions(people.store(by), &self.clock);
        let request = request(op, by, sessions, people, &self.case.setup.cookies());
        self.go_on(index, request, u64::from(by), false)
    }

    fn step(&mut self, index: usize) -> Result<(), Broken> {
        let stands = std::mem::replace(&mut self.requests[index].1, Stands::Over);
        let Stands::At { request, step, history, detached } = stands else {
            unreachable!("only who stopped goes on")
        };
        let seen = step.take(&mut self.desk.open().shared);
        self.go_on(index, request, hash(&(history, seen)), detached)
    }

    /// Lets a request go on to its next step, or to its end.
    fn go_on(
        &mut self,
        index: usize,
        mut request: Request,
        history: u64,
        detached: bool,
    ) -> Result<(), Broken> {
        let by = u8::try_from(index).expect("there are few requests");
        // It may ask for the time.
        let history = hash(&(history, self.left.ticks));
        {
            let mut inner = self.desk.open();
            (inner.turn, inner.history) = (Some(by), history);
        }
        let polled = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (history, laid, put_off, detaches) = {
            let mut inner = self.desk.open();
            inner.turn = None;
            let history = hash(&(inner.history, self.left.ticks));
            (
                history,
                inner.laid.take(),
                std::mem::take(&mut inner.put_off),
                std::mem::take(&mut inner.detached),
            )
        };
        self.late.extend(put_off.into_iter().map(|(_, step)| (hash(&(history, "put off")), step)));
        match polled {
            Poll::Ready(answer) => self.facts.heard(by, answer),
            Poll::Pending => {
                let step = laid.expect("requests stop at steps alone");
                let detached = detached || detaches;
                self.requests[index].1 = Stands::At { request, step, history, detached };
                Ok(())
            }
        }
    }

    /// Nobody waits for a request any more. What it asked for last may still happen.
    fn lose(&mut self, index: usize, on_its_way: bool) {
        let (op, stands) = &mut self.requests[index];
        let changes = matches!(op, Op::Password | Op::OwnPassword | Op::Disable);
        if !matches!(stands, Stands::At { .. }) {
            return;
        }
        if let Stands::At { step, history, .. } = std::mem::replace(stands, Stands::Over)
            && on_its_way
        {
            self.late.push((history, step));
        }
        if changes && !matches!(self.kind(), Kind::Sqlite | Kind::Postgres) {
            self.requests.push((Op::WorkOff, Stands::NotBegun));
        }
    }

    /// The same for moments from which the same can follow.
    pub(crate) fn key(&self) -> u64 {
        let mut to = DefaultHasher::new();
        let shared = &self.desk.open().shared;
        shared.see(&mut to);
        self.facts.see(&shared.names, &mut to);
        (self.left.faults, self.left.ticks).hash(&mut to);
        for (op, stands) in &self.requests {
            let stands = match stands {
                Stands::NotBegun => (0, 0, false),
                Stands::At { history, detached, .. } => (1, *history, *detached),
                Stands::Over => (2, 0, false),
            };
            (*op as u8, stands).hash(&mut to);
        }
        let mut late: Vec<_> = self.late.iter().map(|(history, _)| *history).collect();
        late.sort_unstable();
        late.hash(&mut to);
        to.finish()
    }

    /// What has to be true at every moment: each token is presented by a request that begins now.
    pub(crate) fn check(&self) -> Result<(), Broken> {
        for given in &self.facts.given {
            match at_once(resume(&self.probe, &given.token, Extend::No)) {
                Some(record) => self.facts.may_live(given, &record)?,
                None if given.user == ben() && self.nothing_expired() => return Err(BYSTANDER),
                None => {}
            }
        }
        Ok(())
    }

    /// What has to be true when all is over.
    pub(crate) fn check_end(&self) -> Result<(), Broken> {
        let live = at_once(self.probe.list(&anna())).expect("the store answers");
        if self.left.faults == self.case.bounds.faults && live.len() > setup::LIMIT {
            return Err(LIMIT);
        }
        at_once(self.probe.logout_all(&anna(), None)).expect("the store answers");
        for given in self.facts.given.iter().filter(|given| given.user == anna()) {
            if at_once(resume(&self.probe, &given.token, Extend::No)).is_some() {
                return Err(EVERYWHERE);
            }
        }
        self.check()
    }

    fn nothing_expired(&self) -> bool {
        self.left.ticks == self.case.bounds.ticks
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut to = DefaultHasher::new();
    what.hash(&mut to);
    to.finish()
}
