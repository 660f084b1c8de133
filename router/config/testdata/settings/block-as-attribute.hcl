  config {
    tls = { ca = "x", key = "hunter2" }
  }
