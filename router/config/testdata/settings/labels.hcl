  config {
    registry_auth {
      user = "me"
    }
    registry_auth "a" "b" {
    }
  }
