UPDATE models SET needs_token = 1;
