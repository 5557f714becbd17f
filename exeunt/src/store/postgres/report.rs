//! What an operator should know of a server.
//!
//! Must never say that all is well because something could not be read.

use super::database::Database;
use super::errors::DatabaseError;
use crate::store::Report;

const ASK: &str = "SELECT current_setting('server_version'), current_setting('server_encoding'),
    current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('synchronous_standby_names'), current_setting('search_path'),
    (SELECT count(*) FROM pg_stat_replication WHERE application_name NOT LIKE '%basebackup%'),
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)";

pub(super) async fn of(database: &Database, pooled: bool) -> Result<Report, DatabaseError> {
    let rows = database.query(ASK, &[]).await?;
    let row = rows.first().ok_or(DatabaseError::damaged("settings"))?;
    let text = |column: usize| -> Result<String, DatabaseError> { Ok(row.try_get(column)?) };
    let (commit, fsync, pages, synchronous) = (text(2)?, text(3)?, text(4)?, text(5)?);
    let (standbys, encrypted): (i64, bool) = (row.try_get(7)?, row.try_get(8)?);
    let mut facts = vec![
        ("server", format!("PostgreSQL {}", text(0)?)),
        ("address", database.address().to_owned()),
        ("encoding", text(1)?),
        ("search path", text(6)?),
        ("synchronous_commit", commit.clone()),
        ("standbys", standbys.to_string()),
    ];
    // Behind a pooler this is the pooler's connection, not ours.
    match pooled {
        true => facts.push(("pooler", "transaction".to_owned())),
        false => facts.push(("TLS", if encrypted { "yes" } else { "no" }.to_owned())),
    }
    let mut problems = Vec::new();
    if fsync != "on" {
        problems.push("fsync is off: a crash brings ended sessions back; set fsync = on".to_owned());
    }
    if commit == "off" {
        problems
            .push("synchronous_commit is off: a crash brings ended sessions back; set it to on".to_owned());
    }
    if pages != "on" {
        problems.push(
            "full_page_writes is off: a crash can damage the tables, unless the file system writes pages whole; set it \
             to on"
                .to_owned(),
        );
    }
    if standbys > 0 && (synchronous.is_empty() || commit == "local") {
        problems.push(
            "its standbys are asynchronous: a failover can bring back sessions that ended just before; set \
             synchronous_standby_names, and synchronous_commit to on"
                .to_owned(),
        );
    }
    Ok(Report { facts, problems })
}
