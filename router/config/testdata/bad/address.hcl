backend "edge" {
  address = "run/edge.sock"
}
backend "far" {
  address = "edge.example.net:7443"
  sha256  = "0000000000000000000000000000000000000000000000000000000000000000"
  env     = ["HTTPS_PROXY"]
}
backend "farther" {
  address = "edge.example.net:7443"
  tls {
    cert = "client.pem"
    name = "edge"
  }
  config {
    host = "unix:///var/run/docker.sock"
  }
}
backend "near" {
  address = "unix:///run/edge.sock"
  tls {
    ca = "ca.pem"
  }
}
backend "odd" {
  plugin = "docker"
  tls {
    ca = "ca.pem"
  }
}
backend "empty" {
  address = ""
}
rule "all" {
  to {
    backends = { edge = 1, far = 1, farther = 1, near = 1, odd = 1, empty = 1 }
  }
}
