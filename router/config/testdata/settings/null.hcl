  config {
    tls {
      ca = null
    }
  }
