  config {
    password = [
      "hunter2",
    ]
  }
