%% One sample: erl ... -s bench_main main kill Children Rounds | tree Branches Leaves Rounds.
%% Prints the same line as the other subjects: {"readings":[{"metric":...,"unit":...,"value":...}]}.
-module(bench_main).
-export([main/1]).

main([Bench | Numbers]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    Readings = run(Bench, [list_to_integer(atom_to_list(Number)) || Number <- Numbers]),
    io:format("{\"readings\":[~s]}~n", [lists:join(",", [reading(Reading) || Reading <- Readings])]),
    halt(0).

run(kill, [Count, Rounds]) ->
    [_ | Spent] = [kill(Count) || _ <- lists:seq(0, Rounds)],
    rounds("all-back", Spent);
run(tree, [Branches, Leaves, Rounds]) ->
    [_ | Spent] = [tree(Branches, Leaves) || _ <- lists:seq(0, Rounds)],
    {Starts, Stops} = lists:unzip(Spent),
    rounds("start", Starts) ++ rounds("stop", Stops).

%% A supervisor of its own for each round: the list of past restarts, which it walks at each restart, starts empty.
kill(Count) ->
    {ok, Supervisor} = bench_sup:start_link({workers, Count, self()}),
    wait_up(Count),
    Pids = [Pid || {_, Pid, _, _} <- supervisor:which_children(Supervisor)],
    Spent = spent(fun() ->
        lists:foreach(fun(Pid) -> exit(Pid, kill) end, Pids),
        wait_up(Count)
    end),
    stop(Supervisor),
    Spent.

tree(Branches, Leaves) ->
    Start = spent(fun() ->
        {ok, Root} = bench_sup:start_link({supervisors, Branches, {workers, Leaves, self()}}),
        put(root, Root),
        wait_up(Branches * Leaves)
    end),
    Root = get(root),
    Stop = spent(fun() -> stop(Root) end),
    {Start, Stop}.

stop(Supervisor) ->
    exit(Supervisor, shutdown),
    receive {'EXIT', Supervisor, shutdown} -> ok end.

wait_up(0) -> ok;
wait_up(Count) -> receive up -> wait_up(Count - 1) end.

%% Wall and CPU time in milliseconds.
spent(Work) ->
    {Cpu0, _} = statistics(runtime),
    Wall0 = erlang:monotonic_time(nanosecond),
    Work(),
    Wall1 = erlang:monotonic_time(nanosecond),
    {Cpu1, _} = statistics(runtime),
    {(Wall1 - Wall0) / 1.0e6, (Cpu1 - Cpu0) / 1.0}.

rounds(Metric, Spent) ->
    {Walls, Cpus} = lists:unzip(Spent),
    [{Metric, "ms", median(Walls)}, {Metric ++ "-cpu", "ms", lists:sum(Cpus) / length(Cpus)}].

median(Values) ->
    Sorted = lists:sort(Values),
    Length = length(Sorted),
    (lists:nth((Length + 1) div 2, Sorted) + lists:nth(Length div 2 + 1, Sorted)) / 2.

reading({Metric, Unit, Value}) ->
    io_lib:format("{\"metric\":\"~s\",\"unit\":\"~s\",\"value\":~.6f}", [Metric, Unit, Value]).
