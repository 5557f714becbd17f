//! Takes every choice at every moment, each moment once.
//!
//! Requests cannot be copied, so the way to a moment is gone again from the beginning for every choice but the last.

use std::collections::HashMap;
use std::fmt;

use crate::facts::Broken;
use crate::world::{Case, Choice, World};

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Explored {
    /// Moments, equal ones once.
    pub(crate) states: u64,
    /// Ways from the beginning to an end: whole schedules.
    pub(crate) schedules: u128,
}

impl std::ops::AddAssign for Explored {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.schedules += other.schedules;
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} schedules, {} states", self.schedules, self.states)
    }
}

/// A promise that was broken, and how.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) broken: Broken,
    pub(crate) schedule: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:\n  {}", self.broken, self.schedule.join("\n  "))
    }
}

/// Every schedule of a case.
pub(crate) fn explore(case: Case<'_>) -> Result<Explored, Violation> {
    let mut exploring = Exploring { case, ways: HashMap::new(), path: Vec::new() };
    let schedules = exploring.from(World::new(case));
    let schedules =
        schedules.map_err(|broken| Violation { broken, schedule: told(case, &exploring.path) })?;
    Ok(Explored { states: exploring.ways.len() as u64, schedules })
}

struct Exploring<'a> {
    case: Case<'a>,
    /// From each moment, the number of ways to an end. Moments are told apart by 64 bits: among fifteen million, more than
    /// any group of three has, the chance that two are taken for one is below one in 160,000.
    ways: HashMap<u64, u128>,
    path: Vec<Choice>,
}

impl<'a> Exploring<'a> {
    fn from(&mut self, world: World<'a>) -> Result<u128, Broken> {
        let key = world.key();
        if let Some(ways) = self.ways.get(&key) {
            return Ok(*ways);
        }
        world.check()?;
        let choices = world.choices();
        let mut ways = 0;
        if choices.is_empty() {
            world.check_end()?;
            ways = 1;
        }
        let mut world = Some(world);
        let count = choices.len();
        for (at, choice) in choices.into_iter().enumerate() {
            let here = if at + 1 == count { world.take() } else { None };
            let mut next = here.map_or_else(|| played(self.case, &self.path), Ok)?;
            self.path.push(choice);
            next.take(choice)?;
            ways += self.from(next)?;
            self.path.pop();
        }
        self.ways.insert(key, ways);
        Ok(ways)
    }
}

/// The moment to which these choices lead.
pub(crate) fn played<'a>(case: Case<'a>, path: &[Choice]) -> Result<World<'a>, Broken> {
    let mut world = World::new(case);
    for choice in path {
        world.take(*choice)?;
    }
    Ok(world)
}

fn told(case: Case<'_>, path: &[Choice]) -> Vec<String> {
    let mut world = World::new(case);
    let mut told = Vec::new();
    for choice in path {
        told.push(world.told(*choice));
        if world.take(*choice).is_err() {
            break;
        }
    }
    told
}
