//! Login and logout as a ready-made server: on one SQLite file, or on Redis and PostgreSQL.
//!
//! This is the inside of the program `exeunt`. [`accounts`] is for applications of your own, too: `Accounts` implements
//! [`Users`](exeunt::Users), and `examples/own_application.rs` shows it whole. The rest is split off so that its parts can be
//! tested, and promises no stable interface. It must never hold a rule about sessions: those are the library's.

pub mod accounts;
pub mod admin;
pub mod api;
pub mod app;
pub mod backup;
pub mod cli;
mod clients;
pub mod config;
pub mod control;
pub mod copy;
mod cors;
pub mod engines;
mod error;
pub mod html;
pub mod mail;
pub mod metrics;
mod openapi;
mod pages;
mod proxy;
pub mod serve;
pub mod site;
pub mod telemetry;

#[cfg(fuzzing)]
pub use pages::read_login_form;
