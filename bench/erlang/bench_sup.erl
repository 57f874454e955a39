%% Supervisors of the trees: one level of workers, or supervisors of such.
-module(bench_sup).
-behaviour(supervisor).
-export([start_link/1, init/1]).

start_link(Shape) ->
    supervisor:start_link(?MODULE, Shape).

%% Intensity far above anything that the benches do, as for every subject.
init({workers, Count, Collector}) ->
    Children = [worker(Id, Collector) || Id <- lists:seq(1, Count)],
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1}, Children}};
init({supervisors, Count, Shape}) ->
    Children = [#{id => Id, start => {?MODULE, start_link, [Shape]}, restart => permanent,
                  shutdown => infinity, type => supervisor} || Id <- lists:seq(1, Count)],
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1}, Children}}.

worker(Id, Collector) ->
    #{id => Id, start => {bench_worker, start_link, [Collector]}, restart => permanent, shutdown => 5000}.
