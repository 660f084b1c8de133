  config {
    tsl {
      ca = "x"
    }
    volume "x" {}
  }
