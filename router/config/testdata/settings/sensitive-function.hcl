  config {
    password = regex("(hunter2", "x")
  }
