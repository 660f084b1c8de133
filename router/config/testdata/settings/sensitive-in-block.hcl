  config {
    tls {
      ca  = ["x"]
      key = { a = "hunter2" }
    }
  }
