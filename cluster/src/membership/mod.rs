//! Who is a member: SWIM behind our own interface. Never a clock or a socket in here.
