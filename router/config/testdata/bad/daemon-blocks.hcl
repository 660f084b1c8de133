backend "local" { plugin = "process" }
default { backend = "local" }

listen "unix" {
  path = "/run/atom-router/engine.sock"
}
listen "unix" {
  path = "/run/atom-router/engine.sock"
}
listen "tcp" {
  address = "7443"
  cert    = "server.pem"
}
listen "udp" {
  address = ":53"
}
listen {
  path = "/run/a.sock"
}
listen "unix" {
  path = "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sock"
}
access "ci" {
  users = ["ci"]
  owner = "no owner"
  verbs = ["creat", "destroy"]
}
access "ci" {
  certificates = []
  users        = ["re:["]
  owner        = "ci"
  verbs        = []
}
access "nobody" {
  role = "admin"
}
metrics {
  listen = "9464"
}
drain_timeout = "-1s"
audit_log     = ""
