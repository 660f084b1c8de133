  config {
    labels {
      a = "b"
    }
  }
