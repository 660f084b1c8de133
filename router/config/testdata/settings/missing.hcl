  config {
    qps = 1
  }
