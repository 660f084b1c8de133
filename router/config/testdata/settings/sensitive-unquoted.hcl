  config {
    password = hunter2
  }
