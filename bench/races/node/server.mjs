// Express with express-session, alone or under passport, wired as their READMEs show.
//
//   node server.mjs express|passport memory|redis|redis-listening [redis://…]
//
// Must never do what no README shows. Beyond the READMEs there are two routes: `/me` says who is logged in, and `/slow`
// takes its time, notes something in the session if asked to, and answers. `redis-listening` adds the one line that node-redis'
// README has and connect-redis' has not: a listener for errors.
import { RedisStore } from "connect-redis"
import express from "express"
import session from "express-session"
import passport from "passport"
import { Strategy as LocalStrategy } from "passport-local"
import { createClient } from "redis"

const [, , framework, kept, url] = process.argv
const app = express()

// express-session: "User login". passport: "Middleware". connect-redis: "Full setup".
let options = { secret: "keyboard cat", resave: framework === "passport", saveUninitialized: true }
if (kept !== "memory") {
  let redisClient = createClient({ url })
  if (kept === "redis-listening") redisClient.on("error", (err) => console.error("Redis Client Error", err.message))
  redisClient.connect().catch(console.error)
  let redisStore = new RedisStore({ client: redisClient, prefix: "myapp:" })
  options = { store: redisStore, resave: false, saveUninitialized: false, secret: "keyboard cat" }
}
app.use(session(options))

let isAuthenticated, userOf
if (framework === "express") {
  isAuthenticated = function (req, res, next) {
    if (req.session.user) next()
    else next("route")
  }
  userOf = (req) => req.session.user

  app.post("/login", express.urlencoded({ extended: false }), function (req, res, next) {
    req.session.regenerate(function (err) {
      if (err) return next(err)
      req.session.user = req.body.username
      req.session.save(function (err) {
        if (err) return next(err)
        res.redirect("/")
      })
    })
  })

  app.post("/logout", function (req, res, next) {
    req.session.user = null
    req.session.save(function (err) {
      if (err) return next(err)
      req.session.regenerate(function (err) {
        if (err) return next(err)
        res.redirect("/")
      })
    })
  })
} else {
  passport.use(new LocalStrategy((username, password, done) => done(null, { id: 1, username })))
  passport.serializeUser((user, done) => done(null, user.username))
  passport.deserializeUser((username, done) => done(null, { id: 1, username }))
  app.use(express.urlencoded({ extended: true }))
  app.use(passport.initialize())
  app.use(passport.session())
  isAuthenticated = (req, res, next) => (req.isAuthenticated() ? next() : next("route"))
  userOf = (req) => req.user.username

  app.post("/login", passport.authenticate("local", { failureRedirect: "/login" }), function (req, res) {
    res.redirect("/")
  })

  app.post("/logout", function (req, res, next) {
    req.logout(function (err) {
      if (err) return next(err)
      res.redirect("/")
    })
  })
}

app.get("/me", isAuthenticated, (req, res) => res.send(userOf(req)))

app.get("/slow", isAuthenticated, function (req, res) {
  console.log(`began ${req.query.id}`)
  setTimeout(function () {
    if (req.query.write === "true") req.session.views = (req.session.views || 0) + 1
    res.send("done")
  }, Number(req.query.ms))
})

// Where `next("route")` leads.
app.get(["/me", "/slow"], (req, res) => res.status(401).send("not logged in"))

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
