//! Which store to take, what it promises, and how it is set up.
//!
//! # Choose
//!
//! | you run | take | why |
//! | --- | --- | --- |
//! | one process | `exeunt::open(path)`, feature `sqlite`: the default | no other server; most requests are answered out of memory |
//! | several nodes, and PostgreSQL already | `PostgresStore`, feature `postgres` | a logout is as durable as your other data; sessions and accounts change in one transaction |
//! | several nodes, and Redis or Valkey already | `RedisStore`, feature `redis` | the fastest shared one; what it keeps over a crash is up to how *it* is set up: read the table below |
//! | tests | [`MemoryStore`](crate::MemoryStore) | forgets with the process |
//! | something else | your own [`Store`](crate::Store) | `store::laws` (feature `laws`) tells whether it holds |
//!
//! All of them obey the same laws: only login creates, nothing that comes late brings a session back, and "the store did not
//! answer" is never taken for "no such session". A node keeps nothing of its own: any number of them can stand
//! behind any balancer, and a logout on one is a logout on all before it is acknowledged. The near cache works for SQLite
//! alone, where one process sees every change.
//!
//! # What an acknowledged logout survives
//!
//! | store, set up as | the process dies | the machine loses power | its primary dies and another takes over |
//! | --- | --- | --- | --- |
//! | SQLite | holds | holds, on a disk that does what a sync asks | there is one file: no other |
//! | PostgreSQL, `synchronous_commit` on (the default) | holds | holds | a standby that is not synchronous may lack the last commits: **those logouts are lost** |
//! | PostgreSQL, `synchronous_commit` on or higher, and `synchronous_standby_names` set | holds | holds | holds |
//! | PostgreSQL, `synchronous_commit` off, or `fsync` off | refused: `connect` is an error | | |
//! | Redis, `appendonly yes`, `appendfsync always` | holds | holds | a replica may lack the last writes: **those logouts are lost** |
//! | the same, `wait_replicas=N` | holds | holds | holds if one of the N takes over, which Sentinel and Cluster prefer and do not promise |
//! | Redis, `appendonly yes`, `appendfsync everysec` (its default) | holds, but for up to two seconds where the disk is too slow for it | the last second, at worst two, is **lost** | as above |
//! | Redis, snapshots alone (`save`, no `appendonly`) | everything since the last snapshot is **lost**: ended sessions come back | the same | as above |
//! | Redis, `appendonly yes`, `appendfsync no` | holds | up to half a minute or more is **lost** | as above |
//! | Redis without any persistence | all sessions end | all sessions end | as above |
//! | Redis, `maxmemory-policy` other than `noeviction` | refused: `connect` is an error | | |
//! | memory | all sessions end | all sessions end | |
//!
//! "Lost" means: that session lives on, until its timeouts. Nothing a client can do replaces durability on the server's side.
//! `exeunt check` says which of these it finds, and a Redis that would bring sessions back says so in the log at every start.
//!
//! With Redis Sentinel or Cluster, an old primary that is cut off with some clients takes writes until it notices. Set
//! `min-replicas-to-write 1` and `min-replicas-max-lag 10` there, or `wait_replicas=1` here.
//!
//! After a failover that lost writes, or when a member of a Cluster comes back empty, the index of a user can lack sessions
//! that live on another server: "log out everywhere" then misses them until they expire. `exeunt session end-all` ends them too.
//!
//! A former primary of PostgreSQL that nobody stopped still answers reads until a write or a health check fails there: fence it,
//! as every failover tool for PostgreSQL tells you to.
//!
//! While slots move between servers of a Cluster, a walk (`exeunt store copy`, lists for administration) can miss sessions,
//! and a `MIGRATE` that breaks off can leave a session on both servers, of which a logout ends one. Reshard to the end, and
//! have `redis-cli --cluster check` say that all is well, before you rely on either.
//!
//! # When the store is slow, gone or back
//!
//! Every operation ends within its deadline (1 s unless you set another). Until the store is back, protected routes
//! answer 503 and logout answers `Unable to log out`: the session may live on, and trying again ends it. Nobody is told 401.
//! Each store serves again within a second of its server being back, without a restart of yours, whether it was killed, paused,
//! cut off, restarted empty or replaced. Sessions that the server kept live on. Ending thousands of sessions of one user on
//! Redis can take more than one deadline: it says so, and each try goes on from where the last one stopped. Do not put a time limit around a handler: a step that is cut off may still happen.
//!
//! # SQLite
//!
//! `exeunt::open(path)` is one SQLite file with a near cache of 64 MiB in front. One process owns the file: a second one
//! that opens it gets an error that says so. The application's own tables can live in the same file, and a session can
//! end in the same transaction as what made it end (`store::sqlite::Database`).
//!
//! # Redis and Valkey
//!
//! `RedisStore::connect(url)`; version 6.2 or later, any Valkey.
//!
//! | URL | for |
//! | --- | --- |
//! | `redis://user:password@host:6379/0` | one server, or a proxy that looks like one |
//! | `redis+sentinel://user:password@host:26379/0?node=host2:26379&master=mymaster` | Sentinel; every `node` is a further sentinel |
//! | `redis+cluster://user:password@host:7000?node=host2:7001` | Cluster; the nodes are where to begin |
//!
//! `rediss` in place of `redis` is TLS; `valkey` and `valkeys` mean the same as `redis` and `rediss`.
//!
//! | key of the query | default | means |
//! | --- | --- | --- |
//! | `prefix` | `exeunt:` | every key begins so; no `{` or `}` |
//! | `deadline` | `1s` | how long one operation may take, connecting included; of a walk, purge or check, each step of it |
//! | `wait_replicas` | 0 | so many replicas must have a logout before it is acknowledged |
//! | `ca` | | a PEM file of the certificate authorities to trust, in place of the system's |
//! | `master`, `node` | | see above |
//! | `sentinel_user`, `sentinel_password` | | for the sentinels, where they want a login of their own |
//!
//! A session takes one key, and eight bytes in an index whose 16,384 keys all users share: without data 243 to 262 bytes of Redis in all
//! where a million or a hundred thousand users have one session each, 249 where they have five (Debian's Redis 7.0). A user id of more than 64
//! bytes, or `hash-max-listpack-value` or `hash-max-listpack-entries` set below their 64 and 512, costs about 70 bytes more for each user. The server
//! frees a session an hour after it expired, and all of the index a day or two after the last one ended; the names of users who
//! never come back are taken out by [`Sessions::keep_purged`](crate::Sessions::keep_purged). Whether a session lives is
//! decided by the record and your clock, never by the server's.
//!
//! A server that is full (`maxmemory`) takes no login and no change of data, which are 503, and does not note who was seen. Who is
//! logged in is served, and logouts hold.
//!
//! # PostgreSQL
//!
//! `PostgresStore::connect(url)`; the URL is what `psql` takes, several hosts included: the one that can be written to is used.
//!
//! | key of the query | default | means |
//! | --- | --- | --- |
//! | `pool` | 10 | the most connections of this node |
//! | `deadline` | `1s` | how long one operation may take, connecting included |
//! | `pooler` | | `transaction`: there is a pooler between that gives each transaction another connection, such as PgBouncer's mode of that name |
//! | `ca` (or `sslrootcert`) | | a PEM file of certificate authorities to trust besides the system's |
//! | `sslmode` | `require`; `disable` on this machine | `prefer` takes TLS where it is offered, `disable` to go without TLS; where there is TLS, certificate and name are checked |
//!
//! Tables are made and brought up to date at `connect`, by one node at a time. A role that may not do that can run once
//! they are there: `exeunt store schema` prints the SQL for whoever may.
//!
//! # Upgrades: two versions at once
//!
//! Records in Redis begin with the version of their form, and the tables' version is kept beside them. A release reads the form of the
//! release before it and its own, and writes the older one as long as nodes of both may run; a form or a schema that is
//! newer than a node knows is an error there, never "no such session", and is never written over: a record whenever it is met (503), a
//! schema when a node starts. So: upgrade node by node, one minor version at a time.
//!
//! # Moving, and backups
//!
//! `exeunt store copy FROM TO` moves live sessions, and accounts where TO can keep them, without logging anybody out: once
//! while FROM's servers work, and with `--final` after they stopped, which removes from TO what ended meanwhile. Then start
//! on TO, and copy no more: what ended in TO is not known to FROM, and would live again.
//!
//! `exeunt store backup FILE` copies a SQLite file while it is in use; no session lives in the copy. PostgreSQL and Redis have
//! their own means, whose backups bring back what ended since they were made: after restoring one, run `exeunt session end-all`
//! before anything serves.
//!
//! # A SQLite file that is damaged, or restored
//!
//! Beside `FILE` there are `FILE-wal` and `FILE-shm` while it is in use, `FILE.lock`, and `FILE-mark`: the number of the last change that
//! was acknowledged. Move all of them together, with nothing running. Where a file is found to be behind its mark, or has none, changes
//! that were acknowledged may be missing: every session that it had has ended, once, and an error in the log says so. Files of a
//! version before marks are given one, and log nobody out. After a crash let `exeunt` be the first to open the file: another program
//! that writes may fold the log and remove it, and where a fold was under way at the crash, nobody can tell that from a lost log.
//!
//! If accounts are in the file, `exeunt serve` refuses it until you have looked at them (`exeunt account list`), put right what you
//! know of (a password that was changed, an account that was disabled or removed), and run `exeunt store accept-loss`. An application
//! that keeps accounts of its own there asks `Database::loss` before it serves, and calls
//! `Database::accept_loss`. Restoring a backup is the same with one step before it: stop the server, put the backup
//! in the place of the file, and remove `FILE-wal` and `FILE-shm`.
//!
//! # One store for one application
//!
//! A session names its user as the application does, in the server by the account's number. Two sets of accounts must never
//! share a store: number 1 of the one would be number 1 of the other. Give each its own `prefix` in Redis, its own schema or
//! database in PostgreSQL, and run `exeunt session end-all` when accounts are made anew beside sessions that are kept.
//!
//! # Expired sessions
//!
//! They cannot be loaded from the instant they expire. They take up space until they are purged: spawn
//! [`Sessions::keep_purged`](crate::Sessions::keep_purged) once on each node. It works in bounded steps, and where nodes share a store one
//! of them does it at a time.
