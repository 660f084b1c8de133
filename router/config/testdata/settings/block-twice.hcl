  config {
    tls {
      ca = "a"
    }
    tls {
      ca = "b"
    }
  }
