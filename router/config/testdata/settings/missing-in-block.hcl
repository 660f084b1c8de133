  config {
    tls {
    }
  }
