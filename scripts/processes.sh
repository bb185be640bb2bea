# To be sourced: ends a process that the shell has started.

# end PID: Ctrl-C, and what that does. Where whoever runs this has it ignored, the process never hears of it: SIGKILL follows.
end() {
  kill -INT "$1" 2>/dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
