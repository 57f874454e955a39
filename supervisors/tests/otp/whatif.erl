%% Plays scenarios on OTP's own supervisor, in real time, and prints what happened.
%%
%% Usage: erl +S 1 -noshell -run whatif main FILE, where FILE holds one term: the list of {N, Root, Script}.
%% With one scheduler the order in which messages are sent is the order in which the logger gets them.
-module(whatif).
-export([main/1, init/1, start_child/4, start_instance/5, worker/5]).

main([File]) ->
    logger:set_primary_config(level, none),
    {ok, [Scenarios]} = file:consult(File),
    Players = [spawn_monitor(fun() -> timer:sleep(N rem 97 * 5), play(N, Root, Script) end)
               || {N, Root, Script} <- Scenarios],
    [receive {'DOWN', Ref, process, Pid, _} -> ok end || {Pid, Ref} <- Players],
    init:stop().

play(N, Root, Script) ->
    process_flag(trap_exit, true),
    Tab = ets:new(world, [public]),
    Log = spawn(fun() -> log(N, [], #{}) end),
    Ctx = {Tab, Log},
    Start = erlang:monotonic_time(millisecond),
    Top = start_child(Ctx, "/", {child, "", temporary, infinity, false, [ok], 0, Root}, make_ref()),
    [begin
         timer:sleep(max(0, Start + At - erlang:monotonic_time(millisecond))),
         happen(Ctx, Top, What)
     end || {At, What} <- Script],
    timer:sleep(1500),
    Log ! {flush, self()},
    receive flushed -> ok end.

happen({Tab, _}, _Top, {exit, Path, Reason}) ->
    case ets:lookup(Tab, Path) of
        [{_, worker, Pid}] when Reason =:= kill -> exit(Pid, kill);
        [{_, worker, Pid}] -> Pid ! {die, Reason};
        _ -> ok
    end;
happen(Ctx, _Top, {call, Call, Sup, Name, Spec}) ->
    spawn(fun() -> call(Ctx, Call, Sup, Name, Spec) end);
happen(_Ctx, {ok, Pid}, shutdown) ->
    exit(Pid, shutdown);
happen(_Ctx, _Top, shutdown) ->
    ok.

call({Tab, Log} = Ctx, Call, Sup, Name, Spec) ->
    Id = case {Call, Sup} of
             {which_children, _} -> Sup;
             {count_children, _} -> Sup;
             _ -> join(Sup, Name)
         end,
    Value = case ets:lookup(Tab, Sup) of
                [{_, {supervisor, Strategy}, Pid}] ->
                    try value(Tab, Call, do_call(Ctx, Call, Strategy, Pid, Sup, Name, Spec))
                    catch exit:_ -> "noproc" end;
                _ -> "noproc"
            end,
    Log ! {result, Id, Value}.

do_call(Ctx, start_child, simple_one_for_one, Pid, Sup, Name, none) ->
    _ = Ctx, _ = Sup,
    supervisor:start_child(Pid, [Name, make_ref()]);
do_call(Ctx, start_child, _, Pid, Sup, _Name, Spec) ->
    supervisor:start_child(Pid, child_spec(Ctx, Sup, setelement(1, Spec, child), make_ref()));
do_call({Tab, _}, terminate_child, simple_one_for_one, Pid, Sup, Name, _) ->
    case {ets:lookup(Tab, join(Sup, Name)), is_process_alive(Pid)} of
        {_, false} -> exit(noproc);
        {[{_, _, Child}], _} ->
            case is_process_alive(Child) of
                true -> supervisor:terminate_child(Pid, Child);
                false -> {error, not_found}
            end;
        {[], _} -> {error, not_found}
    end;
do_call(_, which_children, _, Pid, _, _, _) -> supervisor:which_children(Pid);
do_call(_, count_children, _, Pid, _, _, _) -> supervisor:count_children(Pid);
do_call(_, Call, _, Pid, _, Name, _) -> supervisor:Call(Pid, Name).

value(Tab, which_children, Children) ->
    lists:flatten(lists:join(" ", [[name(Tab, C), "=", state(element(2, C))] || C <- Children]));
value(_, count_children, Counts) ->
    Keys = [specs, active, supervisors, workers],
    lists:flatten(lists:join(" ", [integer_to_list(proplists:get_value(K, Counts)) || K <- Keys]));
value(_, _, ok) -> "ok";
value(_, _, {ok, undefined}) -> "ignore";
value(_, _, {ok, _}) -> "ok";
value(_, _, {error, {already_started, _}}) -> "already_started";
value(_, _, {error, {bad_combination, _}}) -> "invalid";
value(_, _, {error, {error, _}}) -> "start_failed";
value(_, _, {error, error}) -> "start_failed";
value(_, _, {error, Word}) when is_atom(Word) -> atom_to_list(Word).

name(Tab, {undefined, Pid, _, _}) when is_pid(Pid) ->
    case ets:match(Tab, {{pid, Pid}, '$1'}) of [[Name]] -> Name; _ -> "?" end;
name(_, {undefined, _, _, _}) -> "?";
name(_, {Id, _, _, _}) -> Id.

state(undefined) -> "stopped";
state(restarting) -> "restarting";
state(_) -> "running".

%% The supervisors.

init({Ctx, Path, {sup, Strategy, Intensity, Period, Auto, Children}}) ->
    Flags = #{strategy => Strategy, intensity => Intensity, period => Period, auto_shutdown => Auto},
    Specs = case Strategy of
                simple_one_for_one -> [template(Ctx, Path, C) || C <- Children];
                _ -> [child_spec(Ctx, Path, C, element(9, C)) || C <- Children]
            end,
    {ok, {Flags, Specs}}.

child_spec(Ctx, Sup, Child, Key) ->
    Id = element(2, Child),
    with_shutdown(Child, #{id => Id, restart => element(3, Child), significant => element(5, Child),
                           start => {?MODULE, start_child, [Ctx, join(Sup, Id), Child, Key]}}).

template(Ctx, Sup, Child) ->
    with_shutdown(Child, #{id => element(2, Child), restart => element(3, Child),
                           start => {?MODULE, start_instance, [Ctx, Sup, Child]}}).

with_shutdown(Child, Spec0) ->
    Spec = case element(8, Child) of
               none -> Spec0#{type => worker};
               _ -> Spec0#{type => supervisor}
           end,
    case element(4, Child) of
        default -> Spec;
        Shutdown -> Spec#{shutdown => Shutdown}
    end.

start_instance(Ctx, Sup, Child, Name, Key) ->
    {Tab, _} = Ctx,
    Result = start_child(Ctx, join(Sup, Name), Child, Key),
    case Result of
        {ok, Pid} -> ets:insert(Tab, {{pid, Pid}, Name});
        _ -> ok
    end,
    Result.

start_child({Tab, Log} = Ctx, Path, Child, Key) ->
    Nth = ets:update_counter(Tab, {starts, Key}, 1, {{starts, Key}, 0}),
    Outcomes = element(6, Child),
    Log ! {step, ["start ", Path]},
    case lists:nth(min(Nth, length(Outcomes)), Outcomes) of
        error ->
            Log ! {step, ["start_failed ", Path, " error"]},
            {error, error};
        ignore ->
            Log ! {step, ["start_failed ", Path, " ignore"]},
            ignore;
        ok ->
            start_ok(Ctx, Path, Child, element(8, Child))
    end.

start_ok({Tab, Log} = Ctx, Path, Child, none) ->
    %% Not through proc_lib: its crash report would let others die first.
    Pid = spawn_link(?MODULE, worker, [Ctx, self(), Path, element(7, Child), Log]),
    receive {Pid, ready} -> ok end,
    ets:insert(Tab, {Path, worker, Pid}),
    Log ! {started, Path, Pid},
    {ok, Pid};
start_ok({Tab, Log} = Ctx, Path, _Child, Sup) ->
    case supervisor:start_link(?MODULE, {Ctx, Path, Sup}) of
        {ok, Pid} ->
            ets:insert(Tab, {Path, {supervisor, element(2, Sup)}, Pid}),
            Log ! {started, Path, Pid},
            {ok, Pid};
        {error, _} ->
            Log ! {step, ["start_failed ", Path, " error"]},
            {error, error}
    end.

worker(_Ctx, Parent, Path, Stop, Log) ->
    process_flag(trap_exit, true),
    Parent ! {self(), ready},
    live(Parent, Path, Stop, Log).

live(Parent, Path, Stop, Log) ->
    receive
        {'EXIT', Parent, shutdown} ->
            Log ! {step, ["stopping ", Path]},
            case Stop of
                0 -> die(Log, Path, shutdown);
                _ -> erlang:send_after(Stop, self(), {die, shutdown})
            end,
            live(Parent, Path, Stop, Log);
        {'EXIT', Parent, Reason} -> die(Log, Path, Reason);
        {die, Reason} -> die(Log, Path, Reason);
        _ -> live(Parent, Path, Stop, Log)
    end.

die(Log, Path, Reason) ->
    Log ! {exited, self(), Path, Reason},
    exit(Reason).

%% The logger: who did not say itself that it ends was killed, or is a supervisor.

log(N, Lines, Alive) ->
    receive
        {step, Line} -> log(N, [Line | Lines], Alive);
        {started, Path, Pid} ->
            erlang:monitor(process, Pid),
            log(N, [["started ", Path] | Lines], Alive#{Pid => Path});
        {exited, Pid, Path, Reason} ->
            log(N, [["exited ", Path, " ", atom_to_list(Reason)] | Lines], maps:remove(Pid, Alive));
        {'DOWN', _, process, Pid, Reason} when is_map_key(Pid, Alive), is_atom(Reason) ->
            Path = maps:get(Pid, Alive),
            Word = case Reason of noproc -> "killed"; _ -> atom_to_list(Reason) end,
            log(N, [["exited ", Path, " ", Word] | Lines], maps:remove(Pid, Alive));
        {'DOWN', _, process, _, _} -> log(N, Lines, Alive);
        {result, Id, Value} -> log(N, [["result ", Id, " ", Value] | Lines], Alive);
        {flush, From} ->
            io:put_chars([[integer_to_list(N), " ", Line, "\n"] || Line <- lists:reverse(Lines)]),
            From ! flushed
    end.

join("/", Name) -> Name;
join(Path, Name) -> Path ++ "/" ++ Name.
